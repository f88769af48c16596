--! place
-- Take waiting and delayed messages out for good; return their values. To look for an id in its list would take as long as
-- the list is: the id stays there with a tombstone for a value, and the fetch that meets it removes both.
-- KEYS: prefix   ARGV: ids
local values = redis.call('HMGET', P .. 'm', unpack(ARGV))
local held, found = held_of(ARGV), {}
for i = 1, #ARGV do
  local id, value = ARGV[i], values[i]
  if value and string.byte(value) ~= 0 and not held[id] then
    held[id] = true  -- named twice
    found[#found + 1] = value
    local queue = queue_of(value)
    if redis.call('ZREM', P .. 'd:' .. queue, id) == 1 then
      redis.call('HDEL', P .. 'm', id)
    else
      local list = string.byte(value, 12) .. ':' .. queue
      if redis.call('LINDEX', P .. 'q:' .. list, -1) == id then  -- the usual case of one just sent
        redis.call('RPOP', P .. 'q:' .. list)
        redis.call('HDEL', P .. 'm', id)
      else
        redis.call('HSET', P .. 'm', id, '\0' .. list)
        redis.call('HINCRBY', P .. 'tombs', list, 1)
      end
    end
    redis.call('HDEL', P .. 'x', id)
  end
end
return found
