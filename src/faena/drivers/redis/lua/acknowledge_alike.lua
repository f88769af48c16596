--! kept record together
-- Let go of messages of one fetch, whose results live equally long: what `acknowledge` does, in less time.
-- KEYS: prefix, held   ARGV: claim, milliseconds to live; id and result ('' for none), for each, each id once
-- Returns 0 where any is not ours any more: then nothing was done, and `acknowledge` tells which. 1: all were ours.
local held, claim, arguments, ids = KEYS[2], ARGV[1], ARGV, {}
for at = 3, #arguments, 2 do ids[(at - 1) / 2] = arguments[at] end
for _, standing in ipairs(call('HMGET', held, unpack(ids))) do
  if standing ~= claim then return 0 end
end
call('HDEL', held, unpack(ids))  -- first, and without memory: see `complete`
call('HDEL', P .. 'm', unpack(ids))
local moment = moments .. string.sub(ids[1], 1, MOMENT)
if call('EXISTS', P .. 'x', moment) == 0 then
  has_moment[moment] = false
elseif call('EXISTS', P .. 'x') == 1 then
  call('HDEL', P .. 'x', unpack(ids))
end
local ended, found = {}, {}
for i, id in ipairs(ids) do
  local value = arguments[2 * i + 2]
  if value ~= '' then
    local at = #ended + 1
    ended[at], found[at] = id, value
  end
end
if #ended < FEW then
  for i, id in ipairs(ended) do record(id, found[i], ARGV[2]) end
else
  record_all(ended, found, ARGV[2])
end
tell()
return 1
