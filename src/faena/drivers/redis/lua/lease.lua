--! clock moment
-- KEYS: prefix   ARGV: verb, milliseconds, holders
-- open: register one.  renew: those that stand run on from now; returns them.  ended: returns those whose time is over,
-- and milliseconds until the next one's is (-1: there is none).
if ARGV[1] == 'ended' then
  local found, next_ms = {}, -1
  local leases = redis.call('ZRANGE', P .. 'leases', 0, 999, 'WITHSCORES')
  for i = 1, #leases, 2 do
    if tonumber(leases[i + 1]) > now_ms then
      next_ms = math.ceil(leases[i + 1] - now_ms)
      break
    end
    found[#found + 1] = leases[i]
  end
  return {found, next_ms}
end
local until_ms = string.format('%.3f', now_ms + ARGV[2])
if ARGV[1] == 'open' then
  redis.call('ZADD', P .. 'leases', until_ms, ARGV[3])
  return 1
end
local kept = {}
for i = 3, #ARGV do
  -- to remove takes no memory: after it, a full server lets the other write pass, too
  if redis.call('ZREM', P .. 'leases', ARGV[i]) == 1 then
    redis.call('ZADD', P .. 'leases', until_ms, ARGV[i])
    kept[#kept + 1] = ARGV[i]
  end
end
return kept
