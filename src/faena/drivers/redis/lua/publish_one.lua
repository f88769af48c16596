-- Take one message that is due now: what `publish` does with it, with the least that the server can do it with.
-- KEYS: prefix   ARGV: the five of the message (see push); and a channel, where its result is to be told
-- Returns 0 where its id is here already, perhaps as a tombstone: then nothing was done, and `publish` knows what to do.
local call, queue, id = redis.call, ARGV[1], ARGV[4]
local time = call('TIME')
if call('HSETNX', P .. 'm', id, struct.pack('>I4I4', time[1], time[2]) .. ARGV[5]) == 0 then return 0 end
if call('RPUSH', P .. 'q:' .. ARGV[2] .. ':' .. queue, id) == 1 then
  -- the end of the list of queues is put off by one in sixteen: it lies a month ahead
  if call('ZADD', P .. 'queues', 'NX', 0, queue) == 1 or time[2] % 16 == 0 then call('PEXPIRE', P .. 'queues', 2592000000) end
end
local token = P .. 'w:' .. queue
if call('RPUSH', token, '1') == 1 then
  call('PEXPIRE', token, 60000)
else
  call('LPOP', token)  -- there is one: as with `wake`, but mostly there is none, and then this is one look less
end
if ARGV[6] then
  call('HSETNX', P .. 'watch', id, ARGV[6])
  call('PEXPIRE', P .. 'watch', 86400000)
end
return 1
