--! kept record together
-- Let go of messages whose tasks have run, and keep their results: `complete`, where nothing else is to happen.
-- KEYS: prefix, held   ARGV: four for each: id, claim, result ('' for none), its milliseconds to live ('' for ever)
-- Returns a text of 0 and 1: whether each was ours.
local held, count, ids = KEYS[2], #ARGV / 4, {}
for i = 1, count do ids[i] = ARGV[4 * i - 3] end
local claims = redis.call('HMGET', held, unpack(ids))
local answers, gone, done = {}, {}, {}
for i = 1, count do
  local id = ids[i]
  local is_ours = claims[i] == ARGV[4 * i - 2] and not done[id]
  answers[i] = is_ours and '1' or '0'
  if is_ours then
    done[id] = true
    gone[#gone + 1] = id
  end
end
if #gone == 0 then return table.concat(answers) end
redis.call('HDEL', held, unpack(gone))  -- first, and without memory: see `complete`
redis.call('HDEL', P .. 'm', unpack(gone))
redis.call('HDEL', P .. 'x', unpack(gone))
local ended, found, ttls = {}, {}, {}
for i = 1, count do
  local value = ARGV[4 * i - 1]
  if value ~= '' and answers[i] == '1' then
    local at = #ended + 1
    ended[at], found[at], ttls[at] = ids[i], value, ARGV[4 * i]
  end
end
record_all(ended, found, ttls)
tell()
return table.concat(answers)
