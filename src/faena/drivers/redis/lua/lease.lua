--! clock moment
-- KEYS: prefix   ARGV: verb, milliseconds, holders
-- open: register one.  renew: those that stand run on from now; returns them.  ended: returns those whose time is over.
if ARGV[1] == 'ended' then
  return redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', string.format('%.3f', now_ms), 'LIMIT', 0, 1000)
end
local until_ms = string.format('%.3f', now_ms + ARGV[2])
if ARGV[1] == 'open' then
  redis.call('ZADD', P .. 'leases', until_ms, ARGV[3])
  return 1
end
local kept = {}
for i = 3, #ARGV do
  if redis.call('ZSCORE', P .. 'leases', ARGV[i]) then
    redis.call('ZREM', P .. 'leases', ARGV[i])  -- takes no memory, so that a full server lets the next one pass, too
    redis.call('ZADD', P .. 'leases', until_ms, ARGV[i])
    kept[#kept + 1] = ARGV[i]
  end
end
return kept
