--! clock moment wake
-- Take messages of one queue and one rank that are due now, each id once: what `publish` does with them, in less time.
-- KEYS: prefix   ARGV: queue, rank; id and value without its stamp, for each
-- Returns 0 where any id is here already, perhaps as a tombstone: then nothing was done, and `publish` knows what to do.
local call, queue, arguments = redis.call, ARGV[1], ARGV
local ids, fields, stamp = {}, {}, stamp
for at = 3, #arguments, 2 do
  local id = arguments[at]
  ids[(at - 1) / 2] = id
  fields[at - 2], fields[at - 1] = id, stamp .. arguments[at + 1]
end
for _, there in ipairs(call('HMGET', P .. 'm', unpack(ids))) do
  if there then return 0 end
end
call('HSET', P .. 'm', unpack(fields))
if call('RPUSH', P .. 'q:' .. ARGV[2] .. ':' .. queue, unpack(ids)) == #ids then
  call('ZADD', P .. 'queues', 'NX', 0, queue)
  call('PEXPIRE', P .. 'queues', 2592000000)
end
wake(queue)
return 1
