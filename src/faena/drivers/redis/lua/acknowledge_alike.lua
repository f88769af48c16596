--! kept record
-- Let go of messages of one fetch, whose results live equally long: what `acknowledge` does, in less time.
-- KEYS: prefix, held   ARGV: claim, milliseconds to live; id and result ('' for none), for each, each id once
-- Returns 0 where any is not ours any more: then nothing was done, and `acknowledge` tells which. 1: all were ours.
local held, claim, ids, found = KEYS[2], ARGV[1], {}, {}
local arguments, is_any_empty = ARGV, false
for at = 3, #arguments, 2 do
  local i, value = (at - 1) / 2, arguments[at + 1]
  ids[i], found[i] = arguments[at], value
  if value == '' then is_any_empty = true end
end
for _, standing in ipairs(call('HMGET', held, unpack(ids))) do
  if standing ~= claim then return 0 end
end
call('HDEL', held, unpack(ids))  -- first, and without memory: see `complete`
call('HDEL', P .. 'm', unpack(ids))
local is_usual = call('EXISTS', P .. 'x', moments .. string.sub(ids[1], 1, MOMENT)) == 0
if not is_usual and call('EXISTS', P .. 'x') == 1 then call('HDEL', P .. 'x', unpack(ids)) end
if #ids < FEW then
  for i, id in ipairs(ids) do
    local value = found[i]
    if value == '' then  -- nothing is to be kept
    elseif i == 1 and is_usual and call('SET', results .. id, value, 'PX', ARGV[2], 'NX') then
      changed[1], values[1] = id, value
    else
      record(id, value, ARGV[2])
    end
  end
  tell()
  return 1
end
--! parts together
local ended = ids
if is_any_empty then
  local all = found
  ended, found = {}, {}
  for i, value in ipairs(all) do
    if value ~= '' then ended[#ended + 1], found[#found + 1] = ids[i], value end
  end
end
record_all(ended, found, ARGV[2])
tell()
return 1
