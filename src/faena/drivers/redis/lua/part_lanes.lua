-- Messages under limits; the law is that of faena/model/limit.py. Whoever puts one into a queue need not know of lanes: its
-- value has the rank 16, and its id comes to the list of that rank. The next fetch takes it from there to its lane.
--   ll:<queue>\0<lane>    ids that wait there, after the stamp of each, by rank       lw:<queue>  lanes: turn; where it is parked
--   lr:<queue>  lanes to be tried (the ring), by rank and turn                        lc  how many are lined up, by queue
--   lp:<limit>\0<queue>   lanes that are parked there, likewise                       lq:<limit>  its queues      lP  limits
--   lh:<limit>  ids of those that run                  lt:<limit>  until when (ms) the tokens that were taken are paid for; at what
--                                                      interval: under another one nobody waits for longer than that says
--   ld  limits by when to look at what is parked there la  id: '1' if it took something, and the lane, of what is in hand
--   lf  terms in force by family: interval (ms, '' for none); tolerance (ms); concurrency ('' for none); 1 if it is paused
local RANK, MOST_TRIES, LEAST_PAUSE_MS = 35184372088832, 200, 20
local touched_queues, terms_known = {}, {}

local function terms_of(limit)
  local family = string.match(limit, '^[^\31]*')
  local terms = terms_known[family]
  if terms == nil then
    local text = redis.call('HGET', P .. 'lf', family)
    terms = false
    if text then
      local interval, tolerance, concurrency, paused = string.match(text, '^(.-);(.-);(.-);(.-)$')
      terms = {interval = tonumber(interval), tolerance = tonumber(tolerance), concurrency = tonumber(concurrency),
        paused = paused == '1'}
    end
    terms_known[family] = terms
  end
  return terms
end

local function limits_of(lane)
  local found = {}
  for limit in string.gmatch(lane, '\30([^\30]*)') do found[#found + 1] = limit end
  return found
end

local function lane_in(value)
  -- returns rank, when it expires (ms; 0: never) and the lane of a value
  local rank, expires, length, at = struct.unpack('>BdI2', value, 15 + string.byte(value, 13) * 256 + string.byte(value, 14))
  return rank, expires, string.sub(value, at, at + length - 1)
end

local function enter(queue, lane, rank, turn, limit)
  local score = string.format('%.0f', rank * RANK + turn)
  redis.call('HSET', P .. 'lw:' .. queue, lane, string.format('%.0f;%s', turn, limit or ''))
  if limit then
    redis.call('ZADD', P .. 'lp:' .. limit .. '\0' .. queue, score, lane)
    redis.call('SADD', P .. 'lq:' .. limit, queue)
    redis.call('SADD', P .. 'lP', limit)
  else
    redis.call('ZADD', P .. 'lr:' .. queue, score, lane)
    touched_queues[queue] = true
  end
end

local function unpark(limit, queue)
  -- lets the first lane that is parked there be tried; returns nothing where there is none
  local key = P .. 'lp:' .. limit .. '\0' .. queue
  local first = redis.call('ZPOPMIN', key)
  if first[1] then
    redis.call('ZADD', P .. 'lr:' .. queue, first[2], first[1])
    redis.call('HSET', P .. 'lw:' .. queue, first[1], string.format('%.0f;', first[2] % RANK))
    touched_queues[queue] = true
  end
  if redis.call('EXISTS', key) == 0 then
    redis.call('SREM', P .. 'lq:' .. limit, queue)
    if redis.call('EXISTS', P .. 'lq:' .. limit) == 0 then redis.call('SREM', P .. 'lP', limit) end
  end
  return first[1]
end

local function call_next(limit)
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'lq:' .. limit)) do unpark(limit, queue) end
end

local function pass_on(lane, refused)
  for _, limit in ipairs(limits_of(lane)) do
    if limit ~= refused then call_next(limit) end
  end
end

local function end_lane(queue, lane)
  local standing = redis.call('HGET', P .. 'lw:' .. queue, lane)
  redis.call('HDEL', P .. 'lw:' .. queue, lane)
  local limit = standing and string.match(standing, ';(.*)$')
  if limit == '' then
    redis.call('ZREM', P .. 'lr:' .. queue, lane)
    pass_on(lane)
  elseif limit then
    local key = P .. 'lp:' .. limit .. '\0' .. queue
    redis.call('ZREM', key, lane)
    if redis.call('EXISTS', key) == 0 then unpark(limit, queue) end  -- which finds none, and forgets the place
  end
end

local function line_up(queue, lane, words)
  -- lines up messages of one lane: the rank of each, and its id after its stamp
  local key = P .. 'll:' .. queue .. '\0' .. lane
  local standing = redis.call('HGET', P .. 'lw:' .. queue, lane)
  redis.call('ZADD', key, unpack(words))
  if not standing and #words == 2 then return enter(queue, lane, words[1], redis.call('INCR', P .. 'ln')) end
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not standing then return enter(queue, lane, tonumber(head[2]), redis.call('INCR', P .. 'ln')) end
  for i = 2, #words, 2 do
    if words[i] == head[1] then
      local turn, limit = string.match(standing, '^(%d+);(.*)$')
      return enter(queue, lane, tonumber(head[2]), tonumber(turn), limit ~= '' and limit or nil)
    end
  end
end

local function leave(queue, id, value)
  -- takes a message out of its lane; false: it is not there
  local _, _, lane = lane_in(value)
  local key = P .. 'll:' .. queue .. '\0' .. lane
  if redis.call('ZREM', key, string.sub(value, 1, 11) .. id) == 0 then return false end
  redis.call('HINCRBY', P .. 'lc', queue, -1)
  if redis.call('EXISTS', key) == 0 then end_lane(queue, lane) end
  return true
end

local function pay_until(limit, terms, paid_ms)
  if paid_ms <= now_ms then return redis.call('DEL', P .. 'lt:' .. limit) end
  local left_ms = string.format('%.0f', math.ceil(paid_ms - now_ms))
  redis.call('SET', P .. 'lt:' .. limit, string.format('%.3f;%.3f', paid_ms, terms.interval), 'PX', left_ms)
end

local function paid_until(limit, terms)
  local paid_ms, interval = string.match(redis.call('GET', P .. 'lt:' .. limit) or '', '^(.-);(.*)$')
  if not paid_ms then return 0 end
  paid_ms = tonumber(paid_ms)
  if interval ~= string.format('%.3f', terms.interval) then
    paid_ms = math.min(paid_ms, now_ms + terms.tolerance + terms.interval)
    pay_until(limit, terms, paid_ms)
  end
  return paid_ms
end

local function obstacle(limit)
  -- returns why a limit refuses, when it will not any more (ms), and how many run under it
  local terms = terms_of(limit)
  if not terms then return nil end
  if terms.paused then return 'paused', nil, 0 end
  if terms.concurrency then
    local running = redis.call('SCARD', P .. 'lh:' .. limit)
    if running >= terms.concurrency then return 'concurrency', nil, running end
  end
  if terms.interval then
    local due_ms = paid_until(limit, terms) - terms.tolerance
    if due_ms > now_ms then return 'rate', due_ms, 0 end
  end
end

local function give_back(id, refund)
  -- gives back what a message in hand holds; `refund`: its tokens, too, since it has not begun
  local kept = redis.call('HGET', P .. 'la', id)
  if not kept then return end
  redis.call('HDEL', P .. 'la', id)
  if string.byte(kept) ~= 49 then return end
  for _, limit in ipairs(limits_of(string.sub(kept, 2))) do
    redis.call('SREM', P .. 'lh:' .. limit, id)
    local terms = refund and terms_of(limit)
    if terms and terms.interval then pay_until(limit, terms, paid_until(limit, terms) - terms.interval) end
    call_next(limit)
  end
end

local function wake_touched()
  for queue in pairs(touched_queues) do wake(queue) end
end
