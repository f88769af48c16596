-- What is known of earlier hand-outs of a message: times given back, crashes, when, and the last verdict.
local function known_of(id)
  local text = redis.call('HGET', P .. 'x', id)
  if not text then return 0, 0, '', '' end
  local returned, crashes, at, verdict = string.match(text, '^(%d+);(%d+);([^;]*);(.*)$')
  return tonumber(returned), tonumber(crashes), at, verdict
end
local function know(id, returned, crashes, at, verdict)
  redis.call('HSET', P .. 'x', id, returned .. ';' .. crashes .. ';' .. at .. ';' .. verdict)
end
