--! clock moment wake push
-- Schedules and how far they are. KEYS: prefix   ARGV: verb, arguments
-- sc: name -> 32 characters of its revision, its standing   sw: names by when they have to be looked at
-- so: task -> message of a tick, until it is published   sx: tasks by since when   sd:<app>: manifests, sdx:<app>: until when
local verb = ARGV[1]

if verb == 'change' then
  -- whether to publish, whether to tell; for each: name, revision seen, revision, when to look (seconds, '' for not at all),
  -- standing ('' to remove it), how many messages follow, five words for each of them (see push)
  local is_joint, tells, answers, rows = ARGV[2] == '1', ARGV[3] == '1', {}, {}
  local at = 4
  while at <= #ARGV do
    local name, seen, revision, wakes, body = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local count = tonumber(ARGV[at + 5])
    local present = redis.call('HGET', P .. 'sc', name)
    local is_as_seen = seen == '' and not present or (present and string.sub(present, 1, 32) == seen)
    local is_repeated = present and body ~= '' and string.sub(present, 1, 32) == revision  -- its answer was lost
    answers[#answers + 1] = (is_as_seen or is_repeated) and '1' or '0'
    if is_as_seen then
      redis.call('ZREM', P .. 'sw', name)
      if body == '' then
        redis.call('HDEL', P .. 'sc', name)
      else
        redis.call('HSET', P .. 'sc', name, revision .. body)
        if wakes ~= '' then redis.call('ZADD', P .. 'sw', wakes, name) end
      end
      for number = 0, count - 1 do
        local row = at + 6 + 5 * number
        if is_joint then
          rows[#rows + 1] = row
        else
          redis.call('HSET', P .. 'so', ARGV[row + 3], ARGV[row + 4])
          redis.call('ZADD', P .. 'sx', string.format('%.6f', now_ms / 1000), ARGV[row + 3])
        end
      end
    end
    at = at + 6 + 5 * count
  end
  if #rows > 0 then push(rows) end
  if tells then
    redis.call('DEL', P .. 'sv')
    redis.call('RPUSH', P .. 'sv', '1')
    redis.call('PEXPIRE', P .. 'sv', 60000)
  end
  return table.concat(answers)
elseif verb == 'due' then  -- moment, most
  local names = redis.call('ZRANGEBYSCORE', P .. 'sw', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
  if #names == 0 then return {} end
  return redis.call('HMGET', P .. 'sc', unpack(names))
elseif verb == 'unpublished' then  -- moment, most
  local ids = redis.call('ZRANGEBYSCORE', P .. 'sx', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
  if #ids == 0 then return {} end
  return redis.call('HMGET', P .. 'so', unpack(ids))
elseif verb == 'published' then  -- ids
  for i = 2, #ARGV do
    redis.call('HDEL', P .. 'so', ARGV[i])
    redis.call('ZREM', P .. 'sx', ARGV[i])
  end
elseif verb == 'declare' then  -- app, key, milliseconds, manifest
  redis.call('HSET', P .. 'sd:' .. ARGV[2], ARGV[3], ARGV[5])
  redis.call('ZADD', P .. 'sdx:' .. ARGV[2], string.format('%.3f', now_ms + ARGV[4]), ARGV[3])
  for _, kind in ipairs({'sd:', 'sdx:'}) do
    local key = P .. kind .. ARGV[2]
    if redis.call('PTTL', key) < tonumber(ARGV[4]) then redis.call('PEXPIRE', key, ARGV[4]) end
  end
elseif verb == 'manifests' then  -- app
  local over = redis.call('ZRANGEBYSCORE', P .. 'sdx:' .. ARGV[2], '-inf', string.format('%.3f', now_ms))
  for _, key in ipairs(over) do
    redis.call('HDEL', P .. 'sd:' .. ARGV[2], key)
    redis.call('ZREM', P .. 'sdx:' .. ARGV[2], key)
  end
  return redis.call('HVALS', P .. 'sd:' .. ARGV[2])
end
return 1
