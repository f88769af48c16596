-- Forget results; return of how many there was anything.
local function forget(ids)
  local gone = 0
  for i = 1, #ids do
    gone = gone + call('UNLINK', results .. ids[i]) + call('HDEL', moments .. string.sub(ids[i], 1, MOMENT), ids[i])
  end
  return gone
end
