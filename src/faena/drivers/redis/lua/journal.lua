--! clock moment wake push journal
-- What tasks remember, events, and tasks that wait. KEYS: prefix   ARGV: verb, arguments
local verb = ARGV[1]
local REST_MS = 3600000  -- what is over is removed by `expire`; by the server only later, should nobody call it
local rows, found = {}, {}

local function wake_up(id, publishes)
  local _, due, value = unpark(id, not publishes)
  if not value then return end
  if publishes then
    local queue = string.sub(value, 7, 6 + string.byte(value, 5) * 256 + string.byte(value, 6))
    rows[#rows + 1] = {queue, string.byte(value, 4), due > now_ms and string.format('%.3f', due - now_ms) or '', id, value}
  else
    redis.call('ZADD', P .. 'pw', string.format('%.3f', now_ms), id)
    found[#found + 1] = value
  end
end

if verb == 'write' then  -- task, name, entry, milliseconds until its entries may go
  local key = P .. 'jn:' .. ARGV[2]
  redis.call('HSETNX', key, ARGV[3], ARGV[4])
  local until_ms = now_ms + ARGV[5]
  local before = redis.call('ZSCORE', P .. 'jx', ARGV[2])
  if not before or tonumber(before) < until_ms then
    redis.call('ZADD', P .. 'jx', string.format('%.3f', until_ms), ARGV[2])
    local left = math.max(0, until_ms - now_ms) + REST_MS
    redis.call('PEXPIRE', key, string.format('%.0f', left))
    if redis.call('PTTL', P .. 'jx') < left then redis.call('PEXPIRE', P .. 'jx', string.format('%.0f', left)) end
  end
  return redis.call('HGET', key, ARGV[3])
elseif verb == 'signal' then  -- event, entry, milliseconds it is known, whether to publish ('1')
  if tonumber(ARGV[4]) > 0 then
    redis.call('SET', P .. 'ev:' .. ARGV[2], ARGV[3], 'PX', string.format('%.0f', ARGV[4]), 'NX')
  end
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'pe:' .. ARGV[2])) do wake_up(id, ARGV[5] == '1') end
  push(rows)
  return found
elseif verb == 'published' then  -- ids
  for i = 2, #ARGV do
    if redis.call('ZSCORE', P .. 'pw', ARGV[i]) then unpark(ARGV[i]) end
  end
elseif verb == 'park' then  -- ten for each: id, and see `park`
  local answers = {}
  for at = 2, #ARGV, 10 do answers[#answers + 1] = park(ARGV[at], at + 1) and '1' or '0' end
  return table.concat(answers)
elseif verb == 'postpone' then  -- milliseconds until it is due, ids
  for at = 3, #ARGV do
    if redis.call('HEXISTS', P .. 'parked', ARGV[at]) == 1 and not redis.call('ZSCORE', P .. 'pw', ARGV[at]) then
      redis.call('ZADD', P .. 'pd', string.format('%.3f', now_ms + ARGV[2]), ARGV[at])
    end
  end
  return 0
elseif verb == 'due' then  -- milliseconds after which what was handed out is missed, most, whether to publish ('1')
  local missed = string.format('%.3f', now_ms - ARGV[2])
  local late = redis.call('ZRANGEBYSCORE', P .. 'pw', '-inf', missed, 'LIMIT', 0, ARGV[3])
  for _, id in ipairs(late) do
    wake_up(id, ARGV[4] == '1')
    unpark(id)  -- handed out twice is enough
  end
  local over = redis.call('ZRANGEBYSCORE', P .. 'pd', '-inf', string.format('%.3f', now_ms), 'LIMIT', 0, ARGV[3])
  for _, id in ipairs(over) do wake_up(id, ARGV[4] == '1') end
  push(rows)
  return found
elseif verb == 'unpark' then  -- ids
  for i = 2, #ARGV do
    local _, _, value, waited = unpark(ARGV[i])
    if waited then found[#found + 1] = value end
  end
  return found
elseif verb == 'waiting' then  -- most, ids (none: any); returns event, when it runs in any case (ms; ''), value for each
  local ids = {unpack(ARGV, 3)}
  if #ids == 0 then ids = redis.call('HKEYS', P .. 'parked') end
  for i = 1, math.min(#ids, tonumber(ARGV[2])) do
    local kept = redis.call('HGET', P .. 'parked', ids[i])
    if kept then
      local length, _, at = struct.unpack('>I2d', kept)
      local until_ms = redis.call('ZSCORE', P .. 'pd', ids[i]) or ''
      found[#found + 1] = {string.sub(kept, at, at + length - 1), until_ms, string.sub(kept, at + length)}
    end
  end
  return found
elseif verb == 'end' then  -- id and what is not needed any more, for each
  for i = 2, #ARGV, 2 do end_journal(ARGV[i], ARGV[i + 1]) end
elseif verb == 'expire' then  -- most
  local over = redis.call('ZRANGEBYSCORE', P .. 'jx', '-inf', string.format('%.3f', now_ms), 'LIMIT', 0, ARGV[2])
  for _, id in ipairs(over) do
    redis.call('ZREM', P .. 'jx', id)
    if redis.call('HEXISTS', P .. 'parked', id) == 0 then redis.call('UNLINK', P .. 'jn:' .. id) end
  end
  return #over
end
return 1
