--! clock moment
-- KEYS: prefix   ARGV: verb, milliseconds, holders
-- open: register one.  renew: those that stand run on from now; returns them, and what `ended` returns second.  ended:
-- returns those whose time is over, and milliseconds until the next one's is (-1: there is none).
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
local holders = {unpack(ARGV, 3)}
local kept, words = {}, {}
for i, standing in ipairs(redis.call('ZMSCORE', P .. 'leases', unpack(holders))) do
  if standing then
    kept[#kept + 1] = holders[i]
    words[#words + 1] = until_ms
    words[#words + 1] = holders[i]
  end
end
if #kept > 0 then
  redis.call('ZREM', P .. 'leases', unpack(kept))  -- takes no memory: after it, a full server lets the other write pass, too
  redis.call('ZADD', P .. 'leases', unpack(words))
end
local first = redis.call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')[2]
return {kept, first and math.max(0, math.ceil(first - now_ms)) or -1}
