-- Hand out what is under limits: part of a fetch.
local AT_ONCE = 500

local function line_up_arrived(queue)
  local ids = redis.call('LPOP', P .. 'q:16:' .. queue, AT_ONCE)
  if not ids then return end
  local values, lined_up, lanes, words = redis.call('HMGET', P .. 'm', unpack(ids)), 0, {}, {}
  for i = 1, #ids do
    local value = values[i]
    if value and string.byte(value) ~= 0 then
      local rank, _, lane = lane_in(value)
      local of_lane = words[lane]
      if not of_lane then
        of_lane = {}
        words[lane], lanes[#lanes + 1] = of_lane, lane
      end
      of_lane[#of_lane + 1] = rank
      of_lane[#of_lane + 1] = string.sub(value, 1, 11) .. ids[i]
      lined_up = lined_up + 1
    elseif value then
      redis.call('HDEL', P .. 'm', ids[i])
      if redis.call('HINCRBY', P .. 'tombs', '16:' .. queue, -1) == 0 then redis.call('HDEL', P .. 'tombs', '16:' .. queue) end
    end
  end
  for i = 1, #lanes do line_up(queue, lanes[i], words[lanes[i]]) end
  redis.call('HINCRBY', P .. 'lc', queue, lined_up)
end

local function look_at_due()
  local due = redis.call('ZRANGEBYSCORE', P .. 'ld', '-inf', string.format('%.3f', now_ms), 'LIMIT', 0, 1000)
  for i = 1, #due do
    redis.call('ZREM', P .. 'ld', due[i])
    call_next(due[i])
  end
end

local function refused(lane)
  for _, limit in ipairs(limits_of(lane)) do
    local reason, until_ms = obstacle(limit)
    if reason then
      if until_ms then
        redis.call('ZADD', P .. 'ld', string.format('%.3f', math.max(until_ms, now_ms + LEAST_PAUSE_MS)), limit)
      end
      return limit
    end
  end
end

local function admit(queue, lane, member, id, takes)
  local key = P .. 'll:' .. queue .. '\0' .. lane
  redis.call('ZREM', key, member)
  redis.call('HINCRBY', P .. 'lc', queue, -1)
  redis.call('HSET', P .. 'la', id, (takes and '1' or '0') .. lane)
  for _, limit in ipairs(takes and limits_of(lane) or {}) do
    redis.call('SADD', P .. 'lh:' .. limit, id)
    local terms = terms_of(limit)
    if terms and terms.interval then
      pay_until(limit, terms, math.max(now_ms, paid_until(limit, terms)) + terms.interval)
    end
  end
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[1] then
    enter(queue, lane, tonumber(head[2]), redis.call('INCR', P .. 'ln'))
    pass_on(lane)
  else
    end_lane(queue, lane)
  end
end

local function take_limited(queue, left, hand_out)
  -- hands out up to `left` messages of a queue; returns how many
  line_up_arrived(queue)
  local ring, taken, tries = P .. 'lr:' .. queue, 0, MOST_TRIES
  while taken < left and tries > 0 do
    local first = redis.call('ZRANGE', ring, 0, 0, 'WITHSCORES')
    local lane = first[1]
    if not lane then break end
    local member = redis.call('ZRANGE', P .. 'll:' .. queue .. '\0' .. lane, 0, 0)[1]
    local id = member and string.sub(member, 12)
    local value = id and redis.call('HGET', P .. 'm', id)
    if not member then
      end_lane(queue, lane)
    elseif not value or string.byte(value, 12) ~= 16 then
      redis.call('ZREM', P .. 'll:' .. queue .. '\0' .. lane, member)
      redis.call('HINCRBY', P .. 'lc', queue, -1)
    else
      local _, expires = lane_in(value)
      local is_over = expires > 0 and expires <= now_ms  -- it ends at once, and costs nothing
      local limit = not is_over and refused(lane)
      if limit then
        tries = tries - 1
        redis.call('ZREM', ring, lane)
        enter(queue, lane, math.floor(first[2] / RANK), first[2] % RANK, limit)
        pass_on(lane, limit)
      else
        admit(queue, lane, member, id, not is_over)
        hand_out(id, value)
        taken = taken + 1
      end
    end
  end
  touched_queues[queue] = redis.call('EXISTS', ring, P .. 'q:16:' .. queue) > 0 or nil
  return taken
end
