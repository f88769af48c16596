--! place
-- What is known of one message. KEYS: prefix   ARGV: id   Returns value, what is known of earlier hand-outs (or nothing), how many
-- of its queue come before it (-1: not counted), its holder and the end of that lease (ms), or nothing.
local id = ARGV[1]
local value = redis.call('HGET', P .. 'm', id)
if not value or string.byte(value) == 0 then return false end
local queue, rank, ahead = queue_of(value), string.byte(value, 12), -1
for _, holder in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
  if redis.call('HEXISTS', P .. 'h:' .. holder, id) == 1 then
    return {value, redis.call('HGET', P .. 'x', id), -1, holder, redis.call('ZSCORE', P .. 'leases', holder)}
  end
end
local at = redis.call('LPOS', P .. 'q:' .. rank .. ':' .. queue, id, 'MAXLEN', 100000)
if at then
  ahead = at
  for higher = 0, rank - 1 do ahead = ahead + redis.call('LLEN', P .. 'q:' .. higher .. ':' .. queue) end
end
return {value, redis.call('HGET', P .. 'x', id), ahead, false, false}
