--! clock moment rising
-- Hand out what has waited longest in a queue, whatever its priority.
-- KEYS: prefix, held, the ten lists of the queue   ARGV: holder, claim, limit   Returns as fetch does.
if not redis.call('ZSCORE', P .. 'leases', ARGV[1]) then return redis.error_reply('LEASELOST ' .. ARGV[1]) end
local ids, values, known, lists = {}, {}, false, rising(3)
while #ids < tonumber(ARGV[3]) do
  local id, value = lists.take(0)
  if not id then break end
  ids[#ids + 1], values[#values + 1] = id, value
  redis.call('HSET', KEYS[2], id, ARGV[2])
end
if #ids > 0 then known = redis.call('HMGET', P .. 'x', unpack(ids)) end
return {ids, values, known, -1}
