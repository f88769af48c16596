--! clock moment place
-- KEYS: prefix   ARGV: ids   Returns for each: waiting, limited, delayed, held, dead, or nothing.
local values = redis.call('HMGET', P .. 'm', unpack(ARGV))
local held, places = held_of(ARGV), {}
for i = 1, #ARGV do
  local id, value = ARGV[i], values[i]
  if value and string.byte(value) ~= 0 then
    local due = redis.call('ZSCORE', P .. 'd:' .. queue_of(value), id)
    places[i] = held[id] and 'held' or due and tonumber(due) > now_ms and 'delayed'
      or string.byte(value, 12) == 16 and 'limited' or 'waiting'
  else
    places[i] = redis.call('HEXISTS', P .. 'dead', id) == 1 and 'dead' or ''
  end
end
return places
