-- Take a waiting or delayed message out for good. To look for an id in its list would take as long as the list is: the id
-- stays there with a tombstone for a value, and the fetch that meets it removes both.
local function take_out(id, value)
  local queue = queue_of(value)
  local is_limited = string.byte(value, 12) == 16
  if redis.call('ZREM', P .. 'd:' .. queue, id) == 1 or is_limited and leave(queue, id, value) then
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
