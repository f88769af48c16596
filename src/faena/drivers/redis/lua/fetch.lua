--! clock wake ripen rising lanes admit
-- Hand out up to `limit` messages to a holder whose lease stands: in the order of the queues given, the higher priority
-- first. What is handed out is marked in the holder's hash with the claim, which no other fetch has.
-- KEYS: prefix, held, ten lists and the delayed of each queue   ARGV: holder, claim, limit, queues; and, where messages of any
-- rise with the time that they have waited, after how many milliseconds, for each queue (0: never)
-- Returns ids, values, what is known of earlier hand-outs (or nothing), milliseconds until the next is due (-1: none).
local LONG = string.rep('-', 80)  -- above hash-max-listpack-value, which is 64 unless somebody has set it
local held, claim, left = KEYS[2], ARGV[2], tonumber(ARGV[3])
local queues = (#KEYS - 2) / 11
if not redis.call('ZSCORE', P .. 'leases', ARGV[1]) then return redis.error_reply('LEASELOST ' .. ARGV[1]) end
local ids, values, marks = {}, {}, {}
local function mark()
  -- A small hash is a list to the server, where each entry that is added looks through all before it. A long value makes a
  -- table of it at once.
  if #ids > 16 then redis.call('HSET', held, ids[1], LONG) end
  redis.call('HSET', held, unpack(marks))
end

local lane_keys, all_keys = {P .. 'ld'}, {P .. 'ld', unpack(KEYS, 3)}
for number = 1, queues do
  local ring, arrived = P .. 'lr:' .. ARGV[3 + number], P .. 'q:16:' .. ARGV[3 + number]
  lane_keys[2 * number], lane_keys[2 * number + 1] = ring, arrived
  all_keys[#all_keys + 1] = ring
  all_keys[#all_keys + 1] = arrived
end
local lists = redis.call('EXISTS', unpack(all_keys))
if lists == 0 then return {ids, values, false, -1} end
local unusual = redis.call('EXISTS', P .. 'x', P .. 'paused', unpack(lane_keys))
local lanes = unusual > 0 and redis.call('EXISTS', unpack(lane_keys)) or 0
lists = lists - lanes
local begun  -- with a list, but left to what follows
if lists == 1 and unusual == 0 and left > 0 then
  -- Most often all that there is waits with the usual priority, and nothing is known of it: then there is nothing else to do.
  for number = 1, queues do
    local key = KEYS[8 + 11 * (number - 1)]
    local found = redis.call('LPOP', key, left)
    if found then
      local bodies, byte, are_here = redis.call('HMGET', P .. 'm', unpack(found)), string.byte, true
      for i, value in ipairs(bodies) do
        if not value or byte(value) == 0 then
          are_here = false
          break
        end
        marks[2 * i - 1], marks[2 * i] = found[i], claim
      end
      if not are_here then  -- something was cancelled
        begun, marks = {key = key, found = found, bodies = bodies}, {}
        break
      end
      ids, values = found, bodies
      mark()
      if #ids == left and redis.call('EXISTS', key) == 1 then
        local token = P .. 'w:' .. ARGV[3 + number]
        if redis.call('EXISTS', token) == 0 then
          redis.call('RPUSH', token, '1')
          redis.call('PEXPIRE', token, 60000)
        end
      end
      return {ids, values, false, -1}
    end
  end
end
--! parts
local next_due, any_limited = -1, lanes > 0
look_at_clock()  -- not before: who waits for nothing costs the server next to nothing
local any_paused = unusual > 0 and redis.call('EXISTS', P .. 'paused') == 1

local function take(key)
  -- What was cancelled left its id in the list, and nothing else: it is passed over, and others come instead.
  while left > 0 do
    local found, bodies
    if begun and begun.key == key then
      found, bodies, begun = begun.found, begun.bodies, nil
    else
      found = redis.call('LPOP', key, left)
      if not found then return end
      bodies = redis.call('HMGET', P .. 'm', unpack(found))
    end
    local tombs = 0
    for i = 1, #found do
      local value = bodies[i]
      if value and string.byte(value) ~= 0 then
        local at = #ids + 1
        ids[at], values[at] = found[i], value
        marks[2 * at - 1], marks[2 * at] = found[i], claim
        left = left - 1
      elseif value then
        redis.call('HDEL', P .. 'm', found[i])
        tombs = tombs + 1
        local list = string.sub(value, 2)
        if redis.call('HINCRBY', P .. 'tombs', list, -1) == 0 then redis.call('HDEL', P .. 'tombs', list) end
      end
    end
    if tombs == 0 then return end
  end
end

local function hand_out(id, value)
  local at = #ids + 1
  ids[at], values[at] = id, value
  marks[2 * at - 1], marks[2 * at] = id, claim
end

local limited_first = any_limited and tonumber(string.sub(claim, -1), 16) % 2 == 1  -- with the others, turn by turn
if any_limited then look_at_due() end
local open = {}
for number = 1, queues do
  local queue, at = ARGV[3 + number], 3 + 11 * (number - 1)
  if not (any_paused and redis.call('SISMEMBER', P .. 'paused', queue) == 1) then
    open[#open + 1] = number
    if lists == 1 and not any_limited then  -- most often it is that of the usual priority, and then there is nothing else to look at
      take(KEYS[at + 5])
      if #ids > 0 then break end
    end
    local due = ripen(queue)
    if due >= 0 and (next_due < 0 or due < next_due) then next_due = due end
    if limited_first and left > 0 then left = left - take_limited(queue, left, hand_out) end
    local ageing_ms = ARGV[3 + queues + number]
    if left > 0 and ageing_ms and ageing_ms ~= '0' then
      local lists = rising(at)
      while left > 0 do
        local id, value = lists.take(ageing_ms)
        if not id then break end
        hand_out(id, value)
        left = left - 1
      end
    elseif left > 0 then
      for rank = 0, 9 do
        take(KEYS[at + rank])
        if left <= 0 then break end
      end
    end
    any_limited = any_limited or has_ripened[16]
    if any_limited and not limited_first and left > 0 then
      left = left - take_limited(queue, left, hand_out)
    end
  end
end
local known = false
if #ids > 0 then
  mark()
  if unusual > 0 and redis.call('EXISTS', P .. 'x') == 1 then known = redis.call('HMGET', P .. 'x', unpack(ids)) end
end
if left <= 0 then
  for i = 1, #open do
    local at = 3 + 11 * (open[i] - 1)
    local of_limits = any_limited and redis.call('EXISTS', lane_keys[2 * open[i]], lane_keys[2 * open[i] + 1]) or 0
    if of_limits + redis.call('EXISTS', unpack(KEYS, at, at + 9)) > 0 then wake(ARGV[3 + open[i]]) end
  end
end
if #ids > 0 and next_due >= 0 and next_due < 5000 then
  -- whoever takes a message stops watching the clock: let another one do it
  for i = 1, #open do
    if redis.call('EXISTS', KEYS[13 + 11 * (open[i] - 1)]) == 1 then wake(ARGV[3 + open[i]]) end
  end
end
if any_limited then
  wake_touched()
  local first = redis.call('ZRANGE', P .. 'ld', 0, 0, 'WITHSCORES')
  if first[1] then
    local due = math.max(0, math.ceil(first[2] - now_ms))
    if next_due < 0 or due < next_due then next_due = due end
    if #ids > 0 then
      for i = 1, #open do wake(ARGV[3 + open[i]]) end
    end
  end
end
return {ids, values, known, next_due}
