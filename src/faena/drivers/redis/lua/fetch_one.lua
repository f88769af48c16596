-- Hand out one message of one queue: what `fetch` does where nothing is there but messages of the usual priority, with the
-- least that the server can do it with.
-- KEYS: prefix, held, ten lists and the delayed of the queue   ARGV: holder, claim, limit (one), queue
-- Returns what `fetch` returns; or 0 where there is anything else: then nothing was done, and `fetch` knows what to do.
local call, held, key, queue = redis.call, KEYS[2], KEYS[8], ARGV[4]
if not call('ZSCORE', P .. 'leases', ARGV[1]) then return redis.error_reply('LEASELOST ' .. ARGV[1]) end
if call('EXISTS', P .. 'x', P .. 'paused', P .. 'ld', P .. 'lr:' .. queue, P .. 'q:16:' .. queue, KEYS[3], KEYS[4], KEYS[5],
  KEYS[6], KEYS[7], KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]) > 0 then return 0 end
local id = call('LPOP', key)
if not id then return {{}, {}, false, -1} end
local value = call('HGET', P .. 'm', id)
if not value or string.byte(value) == 0 then  -- it was cancelled
  call('LPUSH', key, id)
  return 0
end
call('HSET', held, id, ARGV[2])
if call('EXISTS', key) == 1 then
  local token = P .. 'w:' .. queue
  if call('EXISTS', token) == 0 then
    call('RPUSH', token, '1')
    call('PEXPIRE', token, 60000)
  end
end
return {{id}, {value}, false, -1}
