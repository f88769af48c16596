-- Put messages that are not here yet into their queues. A row is a table of five, or where five arguments begin in ARGV:
-- queue, rank, milliseconds until due ('' for none), id, value without its stamp. Returns nothing; wakes who waits.
local QUEUES_KEPT_MS = 2592000000
local function register(queue)
  redis.call('ZADD', P .. 'queues', 'NX', 0, queue)
  redis.call('PEXPIRE', P .. 'queues', QUEUES_KEPT_MS)
end

local function bury_tombstone(id, value)
  -- It was cancelled, and its id still stands in a list: that entry must not become the new message.
  local list = string.sub(value, 2)
  redis.call('LREM', P .. 'q:' .. list, 1, id)
  if redis.call('HINCRBY', P .. 'tombs', list, -1) == 0 then redis.call('HDEL', P .. 'tombs', list) end
end

local function push_one(row)
  local words, at = ARGV, row
  if type(row) == 'table' then words, at = row, 1 end
  local queue, due, id = words[at], words[at + 2], words[at + 3]
  local value = stamp .. words[at + 4]
  if redis.call('HSETNX', P .. 'm', id, value) == 0 then
    local there = redis.call('HGET', P .. 'm', id)
    if string.byte(there) ~= 0 then return end
    bury_tombstone(id, there)
    redis.call('HSET', P .. 'm', id, value)
  end
  if due == '' then
    if redis.call('RPUSH', P .. 'q:' .. words[at + 1] .. ':' .. queue, id) == 1 then register(queue) end
  else
    redis.call('ZADD', P .. 'd:' .. queue, string.format('%.3f', now_ms + due), id)
    register(queue)
  end
  wake(queue)
end

local function push_some(rows, from, to)
  local ids, fields, lists, touched, seen = {}, {}, {}, {}, {}
  for i = from, to do
    local row = rows[i]
    ids[#ids + 1] = type(row) == 'table' and row[4] or ARGV[row + 3]
  end
  local there = redis.call('HMGET', P .. 'm', unpack(ids))
  for i = 1, #ids do
    local words, at, id, old = ARGV, rows[from + i - 1], ids[i], there[i]
    if type(at) == 'table' then words, at = at, 1 end
    if seen[id] then
      old = true
    elseif old and string.byte(old) == 0 then
      bury_tombstone(id, old)
      old = false
    end
    if not old then
      seen[id] = true
      local queue, due = words[at], words[at + 2]
      fields[#fields + 1] = id
      fields[#fields + 1] = stamp .. words[at + 4]
      local key = due == '' and 'q:' .. words[at + 1] .. ':' .. queue or 'd:' .. queue
      local list = lists[key]
      if not list then
        list = {}
        lists[key] = list
        touched[queue] = true
      end
      if due ~= '' then list[#list + 1] = string.format('%.3f', now_ms + due) end
      list[#list + 1] = id
    end
  end
  if #fields == 0 then return end
  redis.call('HSET', P .. 'm', unpack(fields))
  for key, list in pairs(lists) do
    redis.call(string.byte(key) == 113 and 'RPUSH' or 'ZADD', P .. key, unpack(list))
  end
  for queue in pairs(touched) do
    register(queue)
    wake(queue)
  end
end

local function push(rows)
  if #rows == 1 then return push_one(rows[1]) end
  for from = 1, #rows, 1000 do push_some(rows, from, math.min(#rows, from + 999)) end
end
