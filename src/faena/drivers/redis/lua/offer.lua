--! clock moment wake ripen push
-- Take the messages for which there is room in their queues, or all of them or none.
-- KEYS: prefix   ARGV: 1 for all or none, number of bounds, for each: queue, how many may wait there; five for each message
-- (see push).  Returns the ids of those that were not taken.
local bounds, left, at = {}, {}, 3
for _ = 1, ARGV[2] do
  bounds[ARGV[at]] = tonumber(ARGV[at + 1])
  at = at + 2
end

local function waiting(queue)
  ripen(queue)
  local count, lists = tonumber(redis.call('HGET', P .. 'lc', queue) or 0), {}
  for _, rank in ipairs({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16}) do  -- 16, and what is counted in `lc`: under limits
    lists[#lists + 1] = rank .. ':' .. queue
    count = count + redis.call('LLEN', P .. 'q:' .. lists[#lists])
  end
  for _, tombs in ipairs(redis.call('HMGET', P .. 'tombs', unpack(lists))) do count = count - (tombs or 0) end
  return count
end

local ids, rows, refused, seen = {}, {}, {}, {}
for row = at, #ARGV, 5 do ids[#ids + 1] = ARGV[row + 3] end
local there = redis.call('HMGET', P .. 'm', unpack(ids))
for i = 1, #ids do
  local row = at + 5 * (i - 1)
  local queue, is_taken = ARGV[row], true
  local is_here = seen[ids[i]] or (there[i] and string.byte(there[i]) ~= 0)
  if bounds[queue] and ARGV[row + 2] == '' and not is_here then
    if not left[queue] then left[queue] = bounds[queue] - waiting(queue) end
    is_taken = left[queue] > 0
    left[queue] = left[queue] - 1
  end
  if is_taken then
    rows[#rows + 1] = row
    seen[ids[i]] = true
  else
    refused[#refused + 1] = ids[i]
  end
end
if #rows > 0 and (#refused == 0 or ARGV[1] == '0') then push(rows) end
return refused
