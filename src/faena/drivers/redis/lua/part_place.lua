-- Which of these ids a holder has in hand. There is no index for it: every holder is asked, and there are few.
local function held_of(ids)
  local found = {}
  for _, holder in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
    local claims = redis.call('HMGET', P .. 'h:' .. holder, unpack(ids))
    for i = 1, #ids do
      if claims[i] then found[ids[i]] = true end
    end
  end
  return found
end
local function queue_of(value)
  return string.sub(value, 15, 14 + string.byte(value, 13) * 256 + string.byte(value, 14))
end
