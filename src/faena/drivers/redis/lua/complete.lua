--! clock moment wake lanes push back known kept record workflow journal claims
-- Let go of deliveries, keep their results, send what follows: each wholly, and only if its delivery is still ours. The
-- fence is the claim in the holder's hash: repeated, or after the holder was ended, it changes nothing.
-- KEYS: prefix, held   ARGV for each, in a row:
--   id, claim, kind: a (acknowledge) | r (put back) | c, queue, rank, due, value (put back changed) | b, reason, detail, milliseconds it is kept, value ('' for the same) (bury)
--   result ('' for none), its milliseconds to live ('' for ever)
--   number of messages that follow, five for each (see push)
--   number of further things, each with its kind, the number of its words, and these: e, an event of a workflow | s, a
--   workflow that begins (see workflow) | p, what it waits for | j, what of its journal may go (see journal) | u, key and task
--   of a claim that is over
-- Returns a text of 0 and 1: whether each was ours.
local held = KEYS[2]
local begins, results_at, further_at, ids, count, at, words = {}, {}, {}, {}, 0, 1, #ARGV
local LENGTH = {a = 3, r = 3, c = 7, b = 7}
while at <= words do
  count = count + 1
  local result = at + LENGTH[ARGV[at + 2]]
  begins[count], results_at[count], ids[count] = at, result, ARGV[at]
  local follow = ARGV[result + 2]
  at = result + 3
  if follow ~= '0' then at = at + 5 * follow end
  local further = ARGV[at]
  at = at + 1
  if further ~= '0' then
    further_at[count] = at
    for _ = 1, further do at = at + 2 + ARGV[at + 1] end
  end
end
local claims = redis.call('HMGET', held, unpack(ids))
local answers, gone, unheld, entries, rows = {}, {}, {}, {}, {}
local any_known, any_limited = redis.call('EXISTS', P .. 'x', P .. 'la') > 0, false
if any_known then any_known, any_limited = redis.call('EXISTS', P .. 'x') == 1, redis.call('EXISTS', P .. 'la') == 1 end
local done = {}

local function change(id, from)
  -- Another message takes its place; what was counted goes on, what was said of the last attempt does not.
  local queue, rank, due = ARGV[from], ARGV[from + 1], ARGV[from + 2]
  redis.call('HSET', P .. 'm', id, stamp .. ARGV[from + 3])
  if due == '' then
    redis.call('RPUSH', P .. 'q:' .. rank .. ':' .. queue, id)
  else
    redis.call('ZADD', P .. 'd:' .. queue, string.format('%.3f', now_ms + due), id)
  end
  local returned, crashes = known_of(id)
  know(id, returned + 1, crashes, '', '')
  register(queue)
  wake(queue)
end

local function bury(id, from)
  local value = redis.call('HGET', P .. 'm', id)
  if ARGV[from + 3] ~= '' then value = string.sub(value, 1, 8) .. ARGV[from + 3] end
  local returned, crashes = known_of(id)
  local last = redis.call('ZRANGE', P .. 'deads', -1, -1, 'WITHSCORES')[2]
  local order = math.max(now_ms * 1000, last and last + 1 or 0)
  local length = string.byte(value, 13) * 256 + string.byte(value, 14)
  local queue = string.sub(value, 15, 14 + length)
  redis.call('HSET', P .. 'dead', id, cmsgpack.pack({
    queue, ARGV[from], ARGV[from + 1], string.format('%.6f', now_ms / 1000), returned + 1, crashes, value}))
  redis.call('ZADD', P .. 'deads', string.format('%.0f', order), id)
  local kept_ms = ARGV[from + 2]
  local over = redis.call('ZRANGEBYSCORE', P .. 'deads', '-inf', (now_ms - kept_ms) * 1000, 'LIMIT', 0, 100)
  if #over > 0 then
    redis.call('HDEL', P .. 'dead', unpack(over))
    redis.call('ZREM', P .. 'deads', unpack(over))
  end
  redis.call('PEXPIRE', P .. 'dead', kept_ms)  -- the letter that has just come is the last to go
  redis.call('PEXPIRE', P .. 'deads', kept_ms)
  register(queue)
end

for i = 1, count do
  local id = ids[i]
  local is_ours = claims[i] == ARGV[begins[i] + 1] and not done[id]
  answers[i] = is_ours and '1' or '0'
  if is_ours then
    done[id] = true
    unheld[#unheld + 1] = id
  end
end
-- The first write takes no memory. So a server that has none left lets all of it happen: work that ends makes room.
if #unheld > 0 then redis.call('HDEL', held, unpack(unheld)) end
local events, starts = {}, {}

local function look_further(id, first)
  -- Returns where the message stands that goes back into its queue at once: what it waited for has happened.
  local back_at, from = nil, first
  for _ = 1, ARGV[first - 1] do
    local kind = ARGV[from]
    if kind == 'e' then
      events[#events + 1] = from + 2
    elseif kind == 's' then
      starts[#starts + 1] = from + 2
    elseif kind == 'j' then
      end_journal(id, ARGV[from + 2])
    elseif kind == 'u' then
      release_claim(ARGV[from + 2], ARGV[from + 3])
    elseif not park(id, from + 2) then
      back_at = from + 4
    end
    from = from + 2 + ARGV[from + 1]
  end
  return back_at
end

for i = 1, count do
  local from, result = begins[i], results_at[i]
  local id, kind = ids[i], ARGV[from + 2]
  if answers[i] == '1' then
    local back_at = further_at[i] and look_further(id, further_at[i])
    if any_limited then give_back(id, kind == 'r') end
    if back_at and kind == 'a' then
      change(id, back_at)
    elseif kind == 'a' then
      gone[#gone + 1] = id
    elseif kind == 'r' then
      local value = redis.call('HGET', P .. 'm', id)
      if value then
        entries[#entries + 1] = {id, value}
        local returned, crashes, when, verdict = known_of(id)
        know(id, returned + 1, crashes, when, verdict)
      end
    elseif kind == 'c' then
      change(id, from + 3)
    else
      bury(id, from + 3)
      gone[#gone + 1] = id
    end
    local kept = ARGV[result] == '' or record(id, ARGV[result], ARGV[result + 1])
    if kept and ARGV[result + 2] ~= '0' then
      for row = result + 3, result + 2 + 5 * ARGV[result + 2], 5 do rows[#rows + 1] = row end
    end
  end
end
if #unheld > 0 then
  if #gone > 0 then
    redis.call('HDEL', P .. 'm', unpack(gone))
    if any_known then redis.call('HDEL', P .. 'x', unpack(gone)) end
  end
  if #entries > 0 then back(entries) end
  if #events > 0 or #starts > 0 then
    -- an event is taken whether or not the result was kept: it counts once by the state of its node
    local workflows = open_workflows(rows)
    for i = 1, #events do workflows.take(events[i]) end
    workflows.flush()
    for i = 1, #starts do workflows.start(starts[i]) end
  end
  push(rows)
  tell()
  if any_limited then wake_touched() end
end
return table.concat(answers)
