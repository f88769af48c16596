--! clock moment wake place lanes
-- Limits, and how they stand. KEYS: prefix   ARGV: verb, arguments
-- read: returns a revision, what is declared and what was changed (both: family, value, ...)
-- write: revision, then for each family: declared ('' for nothing), change (''), terms in force (see lanes); returns 0 if
--   somebody else has written meanwhile
-- list: returns limits of which permits are held, one for each, and for each limit how many lanes are parked there
-- obstacles: ids; returns for each nothing, or limit, reason, milliseconds until it is none (-1), and how many run, in a row
local verb = ARGV[1]

if verb == 'read' then
  return {redis.call('GET', P .. 'lv') or '0', redis.call('HGETALL', P .. 'lD'), redis.call('HGETALL', P .. 'lC')}
elseif verb == 'write' then
  if (redis.call('GET', P .. 'lv') or '0') ~= ARGV[2] then return 0 end
  redis.call('INCR', P .. 'lv')
  local function keep(hash, family, value)
    if value == '' then redis.call('HDEL', P .. hash, family) else redis.call('HSET', P .. hash, family, value) end
  end
  local changed = {}
  for at = 3, #ARGV, 4 do
    local family, terms = ARGV[at], ARGV[at + 3]
    keep('lD', family, ARGV[at + 1])
    keep('lC', family, ARGV[at + 2])
    if (redis.call('HGET', P .. 'lf', family) or '') ~= terms then
      keep('lf', family, terms)
      changed[family] = true
    end
  end
  for _, limit in ipairs(redis.call('SMEMBERS', P .. 'lP')) do
    if changed[string.match(limit, '^[^\31]*')] then
      redis.call('ZREM', P .. 'ld', limit)
      for _, queue in ipairs(redis.call('SMEMBERS', P .. 'lq:' .. limit)) do
        while unpark(limit, queue) do end
      end
    end
  end
  wake_touched()
  return 1
elseif verb == 'list' then
  local running, parked = {}, {}
  for _, kept in ipairs(redis.call('HVALS', P .. 'la')) do
    for _, limit in ipairs(string.byte(kept) == 49 and limits_of(kept) or {}) do running[#running + 1] = limit end
  end
  for _, limit in ipairs(redis.call('SMEMBERS', P .. 'lP')) do
    local count = 0
    for _, queue in ipairs(redis.call('SMEMBERS', P .. 'lq:' .. limit)) do
      count = count + redis.call('ZCARD', P .. 'lp:' .. limit .. '\0' .. queue)
    end
    parked[#parked + 1] = limit
    parked[#parked + 1] = count
  end
  return {running, parked}
end

local found, held = {}, held_of({unpack(ARGV, 2)})
for i = 2, #ARGV do
  local id = ARGV[i]
  local value = redis.call('HGET', P .. 'm', id)
  found[i - 1] = false
  if value and string.byte(value) ~= 0 and string.byte(value, 12) == 16 and not held[id] then
    local due = redis.call('ZSCORE', P .. 'd:' .. queue_of(value), id)
    if not due or tonumber(due) <= now_ms then
      local row = {}
      local _, _, lane = lane_in(value)
      for _, limit in ipairs(limits_of(lane)) do
        local reason, until_ms, running = obstacle(limit)
        if reason then
          row[#row + 1] = limit
          row[#row + 1] = reason
          row[#row + 1] = until_ms and string.format('%.3f', until_ms - now_ms) or '-1'
          row[#row + 1] = running
        end
      end
      found[i - 1] = row
    end
  end
end
return found
