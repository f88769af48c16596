-- Tasks that wait for an event, and what tasks remember.
--   parked  id: message that waits, or was handed out   pe:<event>  ids that wait for it   pd  ids by when they run in any case
--   pw      ids that were handed out, by when           jn:<id>     entries by name        jx  ids by when their entries may go
local WEEK_MS = 604800000  -- what a task remembers stays while it waits, and for this time after it was woken

local function remember(id)
  -- from now on the entries of a task that has waited may go in a week
  if redis.call('PTTL', P .. 'jn:' .. id) ~= -1 then return end
  redis.call('PEXPIRE', P .. 'jn:' .. id, WEEK_MS)
  redis.call('ZADD', P .. 'jx', string.format('%.3f', now_ms + WEEK_MS), id)
  if redis.call('PTTL', P .. 'jx') < WEEK_MS then redis.call('PEXPIRE', P .. 'jx', WEEK_MS) end
end

local function unpark(id, keep)
  -- returns the event, the moment its message is due (ms; 0: at once) and its value; nil: it does not wait
  local kept = redis.call('HGET', P .. 'parked', id)
  if not kept then return nil end
  local length, due, at = struct.unpack('>I2d', kept)
  local event = string.sub(kept, at, at + length - 1)
  local waited = redis.call('SREM', P .. 'pe:' .. event, id) == 1
  redis.call('ZREM', P .. 'pd', id)
  redis.call('ZREM', P .. 'pw', id)
  remember(id)
  if not keep then redis.call('HDEL', P .. 'parked', id) end
  return event, due, string.sub(kept, at + length), waited
end

local function is_revoked(id)
  local kept = redis.call('HGET', P .. 'revocations', id)
  local until_ms = kept and string.match(kept, '^([^;]*);')
  return until_ms and (until_ms == '' or tonumber(until_ms) > now_ms)
end

local function is_wanted(workflow, node, run)
  -- whether a node of a workflow is in that run, and has not ended
  local standing = redis.call('HGET', P .. 'ws:' .. workflow, node)
  if not standing then return false end
  local state, _, _, own_run, _, alias = struct.unpack('>BBi4i4i4i4', standing)
  return (state == 1 or state == 2) and own_run == tonumber(run) and alias < 0
end

local function park(id, at)
  -- ARGV[at]: event, milliseconds until it runs in any case (''), queue, rank, milliseconds until due (''), value, and of its
  -- workflow: id (''), node, run. Returns false where nothing would wake it, or its next delivery says how it ends.
  local event = ARGV[at]
  if redis.call('EXISTS', P .. 'ev:' .. event) == 1 or is_revoked(id) then return false end
  if ARGV[at + 6] ~= '' and not is_wanted(ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]) then return false end
  unpark(id)
  redis.call('PERSIST', P .. 'jn:' .. id)
  local due = ARGV[at + 4] == '' and 0 or now_ms + ARGV[at + 4]
  redis.call('HSET', P .. 'parked', id, struct.pack('>I2d', #event, due) .. event .. ARGV[at + 5])
  redis.call('SADD', P .. 'pe:' .. event, id)
  if ARGV[at + 1] ~= '' then redis.call('ZADD', P .. 'pd', string.format('%.3f', now_ms + ARGV[at + 1]), id) end
  return true
end

local function end_journal(id, kind)
  unpark(id)
  if kind == 'forgotten' then
    redis.call('UNLINK', P .. 'jn:' .. id)
    redis.call('ZREM', P .. 'jx', id)
  end
end
