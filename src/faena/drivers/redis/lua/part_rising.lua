-- The ten lists of a queue (KEYS from `at`), of which messages are taken that have risen: `take` gives the id and the value of
-- the one that stands first now (`ageing_ms` 0: that has waited longest). It looks at the first of each list only: within a list, who came first has risen furthest.
local function rising(at)
  local heads = {}
  local function look(rank)
    -- what was cancelled left its id in the list, and a tombstone for a value
    while true do
      local id = redis.call('LINDEX', KEYS[at + rank], 0)
      local value = id and redis.call('HGET', P .. 'm', id)
      if not id or (value and string.byte(value) ~= 0) then
        heads[rank] = id and {id, value, struct.unpack('>I4I4', value)} or false
        return
      end
      redis.call('LPOP', KEYS[at + rank])
      if value then
        redis.call('HDEL', P .. 'm', id)
        local list = string.sub(value, 2)
        if redis.call('HINCRBY', P .. 'tombs', list, -1) == 0 then redis.call('HDEL', P .. 'tombs', list) end
      end
    end
  end
  for rank = 0, 9 do look(rank) end
  return {take = function(ageing_ms)
    local best, best_rank, best_stamp
    for rank = 0, 9 do
      local head = heads[rank]
      if head then
        local waited_ms = math.max(0, now_ms - head[3] * 1000 - head[4] / 1000)
        local counts_as = ageing_ms == 0 and 0 or math.max(0, rank - math.floor(waited_ms / ageing_ms))
        local stamp = string.sub(head[2], 1, 11)
        if not best or counts_as < best_rank or (counts_as == best_rank and stamp < best_stamp) then
          best, best_rank, best_stamp = rank, counts_as, stamp
        end
      end
    end
    if not best then return nil end
    local id, value = heads[best][1], heads[best][2]
    redis.call('LPOP', KEYS[at + best])
    look(best)
    return id, value
  end}
end
