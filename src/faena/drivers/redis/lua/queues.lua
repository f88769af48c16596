--! clock moment wake lanes ripen place
-- Looking at queues, and changing them as a whole.
-- KEYS: prefix   ARGV: verb, arguments
local verb, queue = ARGV[1], ARGV[2]
local DECLARED_KEPT_MS, QUEUES_KEPT_MS = 604800000, 2592000000

if verb == 'declare' then
  local words = {}
  for i = 2, #ARGV do
    words[#words + 1] = string.format('%.0f', now_ms)
    words[#words + 1] = ARGV[i]
  end
  if #words > 0 then redis.call('ZADD', P .. 'queues', unpack(words)) end
  redis.call('PEXPIRE', P .. 'queues', QUEUES_KEPT_MS)
  return 1
elseif verb == 'wake' then  -- queues
  for i = 2, #ARGV do wake(ARGV[i]) end
elseif verb == 'pause' then
  redis.call('ZADD', P .. 'queues', 'NX', 0, queue)
  redis.call('SADD', P .. 'paused', queue)
  return 1
elseif verb == 'resume' then
  redis.call('SREM', P .. 'paused', queue)
  redis.call('ZADD', P .. 'queues', string.format('%.0f', now_ms), queue)
  wake(queue)
  return 1
elseif verb == 'purge' then
  -- up to 1000 at a time, so that nobody waits long; the caller repeats it until there is nothing
  local purged = 0
  local function remove(ids)
    local values = redis.call('HMGET', P .. 'm', unpack(ids))
    for i = 1, #ids do
      if values[i] and string.byte(values[i]) ~= 0 then
        purged = purged + 1
      elseif values[i] then
        local list = string.sub(values[i], 2)
        if redis.call('HINCRBY', P .. 'tombs', list, -1) == 0 then redis.call('HDEL', P .. 'tombs', list) end
      end
    end
    redis.call('HDEL', P .. 'm', unpack(ids))
    redis.call('HDEL', P .. 'x', unpack(ids))
    return {purged, 1}
  end
  for _, rank in ipairs({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16}) do
    local ids = redis.call('LPOP', P .. 'q:' .. rank .. ':' .. queue, 1000)
    if ids then return remove(ids) end
  end
  local lane = redis.call('HSCAN', P .. 'lw:' .. queue, 0)[2][1]
  while lane do
    local key, ids = P .. 'll:' .. queue .. '\0' .. lane, {}
    local popped = redis.call('ZPOPMIN', key, 1000)
    for i = 1, #popped, 2 do ids[#ids + 1] = string.sub(popped[i], 12) end
    if redis.call('EXISTS', key) == 0 then end_lane(queue, lane) end
    wake_touched()
    if #ids > 0 then
      redis.call('HINCRBY', P .. 'lc', queue, -#ids)
      return remove(ids)
    end
    lane = redis.call('HSCAN', P .. 'lw:' .. queue, 0)[2][1]
  end
  local ids = redis.call('ZRANGE', P .. 'd:' .. queue, 0, 999)
  if #ids > 0 then
    redis.call('ZREM', P .. 'd:' .. queue, unpack(ids))
    return remove(ids)
  end
  return {0, 0}
elseif verb == 'browse' then
  -- returns values, how many of them wait, and how many wait under limits
  ripen(queue)
  local limit, skip, found = tonumber(ARGV[3]), tonumber(ARGV[4]), {}
  local function walk(read)
    local from = 0
    while #found < limit do
      local ids = read(from)
      if #ids == 0 then return end
      local values = redis.call('HMGET', P .. 'm', unpack(ids))
      for i = 1, #ids do
        if values[i] and string.byte(values[i]) ~= 0 then
          if skip > 0 then
            skip = skip - 1
          elseif #found < limit then
            found[#found + 1] = values[i]
          end
        end
      end
      from = from + #ids
    end
  end
  for rank = 0, 9 do
    local key = P .. 'q:' .. rank .. ':' .. queue
    local length = redis.call('LLEN', key)
    if length <= skip and redis.call('HEXISTS', P .. 'tombs', rank .. ':' .. queue) == 0 then
      skip = skip - length
    else
      walk(function(from) return redis.call('LRANGE', key, from, from + 499) end)
    end
  end
  local waiting = #found
  local lanes = redis.call('HKEYS', P .. 'lw:' .. queue)
  table.sort(lanes)
  for _, lane in ipairs(lanes) do
    if #found >= limit then break end
    walk(function(from)
      local members = redis.call('ZRANGE', P .. 'll:' .. queue .. '\0' .. lane, from, from + 499)
      for i = 1, #members do members[i] = string.sub(members[i], 12) end
      return members
    end)
  end
  walk(function(from) return redis.call('LRANGE', P .. 'q:16:' .. queue, from, from + 499) end)
  local limited = #found - waiting
  walk(function(from) return redis.call('ZRANGE', P .. 'd:' .. queue, from, from + 499) end)
  return {found, waiting, limited}
end

-- status: for each queue name, waiting, delayed, held, dead, paused, the first value of each of its
-- lists, and how many wait under limits
local names = redis.call('ZRANGE', P .. 'queues', 0, -1, 'WITHSCORES')
for _, name in ipairs(redis.call('SMEMBERS', P .. 'paused')) do
  if not redis.call('ZSCORE', P .. 'queues', name) then
    names[#names + 1] = name
    names[#names + 1] = '0'
  end
end
local held, dead = {}, {}
for _, holder in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
  local ids = redis.call('HKEYS', P .. 'h:' .. holder)
  for from = 1, #ids, 500 do
    for _, value in ipairs(redis.call('HMGET', P .. 'm', unpack(ids, from, math.min(#ids, from + 499)))) do
      if value then
        local of = queue_of(value)
        held[of] = (held[of] or 0) + 1
      end
    end
  end
end
local letters = redis.call('HVALS', P .. 'dead')
for i = 1, #letters do
  local of = cmsgpack.unpack(letters[i])[1]
  dead[of] = (dead[of] or 0) + 1
end
local found = {}
for i = 1, #names, 2 do
  local name, heads, waiting = names[i], {}, 0
  for rank = 0, 9 do
    local list = rank .. ':' .. name
    local length = redis.call('LLEN', P .. 'q:' .. list)
    if length > 0 then
      local tombs = tonumber(redis.call('HGET', P .. 'tombs', list) or 0)
      waiting = waiting + length - tombs
      for _, id in ipairs(redis.call('LRANGE', P .. 'q:' .. list, 0, math.min(tombs, 500))) do
        local value = redis.call('HGET', P .. 'm', id)
        if value and string.byte(value) ~= 0 then
          heads[#heads + 1] = value
          break
        end
      end
    end
  end
  local key = P .. 'd:' .. name
  local due = redis.call('ZCOUNT', key, '-inf', string.format('%.3f', now_ms))
  if due > 0 then heads[#heads + 1] = redis.call('HGET', P .. 'm', redis.call('ZRANGE', key, 0, 0)[1]) end
  local delayed = redis.call('ZCARD', key) - due
  local limited = redis.call('LLEN', P .. 'q:16:' .. name) - tonumber(redis.call('HGET', P .. 'tombs', '16:' .. name) or 0)
    + tonumber(redis.call('HGET', P .. 'lc', name) or 0)
  local paused = redis.call('SISMEMBER', P .. 'paused', name)
  local of_it = waiting + limited + due + delayed + (held[name] or 0) + (dead[name] or 0)
  if of_it == 0 and paused == 0 and tonumber(names[i + 1]) < now_ms - DECLARED_KEPT_MS then
    redis.call('ZREM', P .. 'queues', name)
  else
    found[#found + 1] = {name, waiting + due, delayed, held[name] or 0, dead[name] or 0, paused, heads, limited}
  end
end
return found
