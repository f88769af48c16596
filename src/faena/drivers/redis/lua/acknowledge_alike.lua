--! record
-- Let go of messages of one fetch, whose results live equally long: what `acknowledge` does, in less time.
-- KEYS: prefix, held   ARGV: claim, milliseconds to live; id and result ('' for none), for each, each id once
-- Returns 0 where any is not ours any more: then nothing was done, and `acknowledge` tells which. 1: all were ours.
local held, claim, ttl_ms, arguments, ids = KEYS[2], ARGV[1], ARGV[2], ARGV, {}
for at = 3, #arguments, 2 do ids[(at - 1) / 2] = arguments[at] end
for _, standing in ipairs(call('HMGET', held, unpack(ids))) do
  if standing ~= claim then return 0 end
end
call('HDEL', held, unpack(ids))  -- first, and without memory: see `complete`
call('HDEL', P .. 'm', unpack(ids))
if call('EXISTS', P .. 'x') == 1 then call('HDEL', P .. 'x', unpack(ids)) end
for i, id in ipairs(ids) do
  local value = arguments[2 * i + 2]
  if value ~= '' then
    if call('SET', results .. id, value, 'PX', ttl_ms, 'NX') then
      local count = #changed + 1
      changed[count], values[count] = id, value
    else
      record(id, value, ttl_ms)
    end
  end
end
tell()
return 1
