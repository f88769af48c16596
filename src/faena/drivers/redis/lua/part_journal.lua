-- Tasks that wait for an event, and what tasks remember.
--   parked  id: message that waits, or was handed out   pe:<event>  ids that wait for it   pd  ids by when they run in any case
--   pw      ids that were handed out, by when           jn:<id>     entries by name        jx  ids by when their entries may go
local function unpark(id, keep)
  -- returns the event, the moment its message is due (ms; 0: at once) and its value; nil: it does not wait
  local kept = redis.call('HGET', P .. 'parked', id)
  if not kept then return nil end
  local length, due, at = struct.unpack('>I2d', kept)
  local event = string.sub(kept, at, at + length - 1)
  local waited = redis.call('SREM', P .. 'pe:' .. event, id) == 1
  redis.call('ZREM', P .. 'pd', id)
  redis.call('ZREM', P .. 'pw', id)
  if not keep then redis.call('HDEL', P .. 'parked', id) end
  return event, due, string.sub(kept, at + length), waited
end

local function park(id, at)
  -- ARGV[at]: event, milliseconds until it runs in any case (''), queue, rank, milliseconds until due (''), value
  local event = ARGV[at]
  if redis.call('EXISTS', P .. 'ev:' .. event) == 1 then return false end
  unpark(id)
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
