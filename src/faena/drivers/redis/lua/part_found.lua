-- Return what is kept of results, of at most 1000 at once.
local function kept_of(ids)
  local keys, missing = {}, {}
  for i = 1, #ids do keys[i] = results .. ids[i] end
  local found = call('MGET', unpack(keys))
  for i = 1, #ids do
    if not found[i] then
      local key = moments .. string.sub(ids[i], 1, MOMENT)
      local places = missing[key]
      if places then
        places[#places + 1] = i
      else
        missing[key] = {i}
      end
    end
  end
  for key, places in pairs(missing) do
    local named = {}
    for at, i in ipairs(places) do named[at] = ids[i] end
    local values = call('HMGET', key, unpack(named))
    for at, i in ipairs(places) do found[i] = values[at] end
  end
  return found
end
