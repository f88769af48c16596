-- Take or renew the lease of a role. KEYS: prefix   ARGV: role, owner, milliseconds (not above 0: let go of it)
-- Returns 1; 0: somebody else holds it. A script of its own, without the clock: every worker asks all the time.
local key = P .. 'lead:' .. ARGV[1]
local owner = redis.call('GET', key)
if owner and owner ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', key, ARGV[2], 'PX', string.format('%.0f', ARGV[3]))
else
  redis.call('DEL', key)
end
return 1
