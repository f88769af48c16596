--! clock moment
-- Commands to workers, their answers, who is there, what must not run. KEYS: prefix   ARGV: verb, arguments
-- Everything has its own end, and the key that holds it ends with the last of it. A moment is kept in milliseconds.
local verb = ARGV[1]
local GRACE_MS = 3600000
local function lives(key, ms)
  local left = redis.call('PTTL', key)
  if left < ms then redis.call('PEXPIRE', key, string.format('%.0f', math.max(1, ms))) end
end
local function ms(number) return string.format('%.3f', number) end
local function end_with_the_last(hash, keys)  -- of a hash whose values begin with their end
  local latest = 0
  for _, text in ipairs(redis.call('HVALS', hash)) do
    local until_ms = string.match(text, '^([^;]*);')
    latest = until_ms == '' and math.huge or math.max(latest, tonumber(until_ms))
  end
  for _, key in ipairs(keys) do
    if latest == math.huge then
      redis.call('PERSIST', key)
    else
      redis.call('PEXPIRE', key, string.format('%.0f', math.max(1, latest - now_ms)))
    end
  end
end

if verb == 'announce' then  -- worker, milliseconds, info
  redis.call('ZADD', P .. 'workers', ms(now_ms + ARGV[3]), ARGV[2])
  redis.call('PEXPIRE', P .. 'workers', string.format('%.0f', ARGV[3] + GRACE_MS))
  -- what was said before is there for exactly as long as it holds
  local unit, length = 'PX', string.format('%.0f', ARGV[3])
  if tonumber(ARGV[3]) <= 0 then unit, length = 'PXAT', '1' end
  return redis.call('SET', P .. 'i:' .. ARGV[2], ARGV[4], unit, length, 'GET')
elseif verb == 'withdraw' then  -- worker
  redis.call('ZREM', P .. 'workers', ARGV[2])
  redis.call('DEL', P .. 'i:' .. ARGV[2], P .. 'c:' .. ARGV[2], P .. 'cw:' .. ARGV[2])
elseif verb == 'workers' then
  redis.call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', ms(now_ms - GRACE_MS))
  local found = {}
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', '(' .. ms(now_ms), '+inf')) do
    found[#found + 1] = redis.call('GET', P .. 'i:' .. name) or nil
  end
  return found
elseif verb == 'send' then  -- milliseconds to live, command, names (none: all)
  local names = {unpack(ARGV, 4)}
  if #names == 0 then names = redis.call('ZRANGE', P .. 'workers', 0, -1) end
  for _, name in ipairs(names) do
    if tonumber(ARGV[2]) > 0 and redis.call('ZSCORE', P .. 'workers', name) then
      redis.call('RPUSH', P .. 'c:' .. name, ms(now_ms + ARGV[2]) .. ';' .. ARGV[3])
      lives(P .. 'c:' .. name, tonumber(ARGV[2]))
      redis.call('LPUSH', P .. 'cw:' .. name, '1')
      redis.call('LTRIM', P .. 'cw:' .. name, 0, 0)
      lives(P .. 'cw:' .. name, tonumber(ARGV[2]))
    end
  end
elseif verb == 'commands' then  -- worker
  local found, key = {}, P .. 'c:' .. ARGV[2]
  for _, text in ipairs(redis.call('LRANGE', key, 0, -1)) do
    local until_ms, command = string.match(text, '^([^;]*);(.*)$')
    if tonumber(until_ms) > now_ms then found[#found + 1] = command end
  end
  redis.call('DEL', key)
  return found
elseif verb == 'reply' then  -- command id, worker, milliseconds to live, reply
  local key = P .. 'a:' .. ARGV[2]
  redis.call('HSET', key, ARGV[3], ms(now_ms + ARGV[4]) .. ';' .. ARGV[5])
  lives(key, tonumber(ARGV[4]))
  redis.call('LPUSH', P .. 'aw:' .. ARGV[2], '1')
  redis.call('LTRIM', P .. 'aw:' .. ARGV[2], 0, 0)
  lives(P .. 'aw:' .. ARGV[2], tonumber(ARGV[4]))
elseif verb == 'replies' then  -- command id
  local found = {}
  local all = redis.call('HGETALL', P .. 'a:' .. ARGV[2])
  for i = 2, #all, 2 do
    local until_ms, reply = string.match(all[i], '^([^;]*);(.*)$')
    if tonumber(until_ms) > now_ms then found[#found + 1] = reply end
  end
  return found
elseif verb == 'revoke' then  -- for each: id, milliseconds to live ('' for ever), revocation
  local last = redis.call('ZRANGE', P .. 'revoked', -1, -1, 'WITHSCORES')[2]
  local mark = math.max(math.floor(now_ms * 1000), last and tonumber(last) or 0)
  for i = 2, #ARGV, 3 do
    mark = mark + 1
    local until_ms = ARGV[i + 1] == '' and '' or ms(now_ms + ARGV[i + 1])
    redis.call('ZADD', P .. 'revoked', string.format('%.0f', mark), ARGV[i])
    redis.call('HSET', P .. 'revocations', ARGV[i], until_ms .. ';' .. ARGV[i + 2])
  end
  end_with_the_last(P .. 'revocations', {P .. 'revoked', P .. 'revocations'})
elseif verb == 'unrevoke' then  -- ids
  redis.call('ZREM', P .. 'revoked', unpack(ARGV, 2))
  return redis.call('HDEL', P .. 'revocations', unpack(ARGV, 2))
elseif verb == 'since' then  -- mark
  local found = redis.call('ZRANGEBYSCORE', P .. 'revoked', '(' .. ARGV[2], '+inf', 'WITHSCORES')
  local mark, standing = ARGV[2], {}
  for i = 1, #found, 2 do
    mark = found[i + 1]
    local until_ms, revocation = string.match(redis.call('HGET', P .. 'revocations', found[i]) or '0;', '^([^;]*);(.*)$')
    if until_ms == '' or tonumber(until_ms) > now_ms then standing[#standing + 1] = revocation end
  end
  return {mark, standing}
elseif verb == 'order' then  -- kind/name, milliseconds to live ('' for ever), order
  local until_ms = ARGV[3] == '' and '' or ms(now_ms + ARGV[3])
  redis.call('HSET', P .. 'orders', ARGV[2], until_ms .. ';' .. ARGV[4])
  end_with_the_last(P .. 'orders', {P .. 'orders'})
elseif verb == 'withdraw-orders' then  -- kind/name of each
  return redis.call('HDEL', P .. 'orders', unpack(ARGV, 2))
elseif verb == 'orders' then
  local all, standing = redis.call('HGETALL', P .. 'orders'), {}
  for i = 2, #all, 2 do
    local until_ms, order = string.match(all[i], '^([^;]*);(.*)$')
    if until_ms == '' or tonumber(until_ms) > now_ms then standing[#standing + 1] = order end
  end
  return standing
elseif verb == 'expire' then  -- most; what is over of revocations, one by one: their key may go on for long
  local gone = 0
  for _, id in ipairs(redis.call('ZRANGE', P .. 'revoked', 0, 999)) do
    if gone >= tonumber(ARGV[2]) then break end
    local until_ms = string.match(redis.call('HGET', P .. 'revocations', id) or '0;', '^([^;]*);')
    if until_ms ~= '' and tonumber(until_ms) <= now_ms then
      redis.call('ZREM', P .. 'revoked', id)
      redis.call('HDEL', P .. 'revocations', id)
      gone = gone + 1
    end
  end
  local orders = redis.call('HGETALL', P .. 'orders')
  for i = 1, #orders, 2 do
    local until_ms = string.match(orders[i + 1], '^([^;]*);')
    if until_ms ~= '' and tonumber(until_ms) <= now_ms then gone = gone + redis.call('HDEL', P .. 'orders', orders[i]) end
  end
  return gone
end
return 1
