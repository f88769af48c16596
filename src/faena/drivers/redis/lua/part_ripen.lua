-- Move what has become due, at most 1000 at a time, behind those that wait; return milliseconds until the next is due, or -1.
local has_ripened = {}  -- by rank
local function ripen(queue)
  local key = P .. 'd:' .. queue
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not first[1] then return -1 end
  if tonumber(first[2]) > now_ms then return math.ceil(first[2] - now_ms) end
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.3f', now_ms), 'LIMIT', 0, 1000)
  local values = redis.call('HMGET', P .. 'm', unpack(ids))
  local fields, lists = {}, {}
  for i = 1, #ids do
    local value = values[i]
    if value then
      fields[#fields + 1] = ids[i]
      -- a new stamp and number: from here on its place is that of one that has just come
      fields[#fields + 1] = stamp .. struct.pack('>I4', i):sub(2) .. string.sub(value, 12)
      local rank = string.byte(value, 12)
      local list = lists[rank]
      if not list then
        list = {}
        lists[rank] = list
      end
      list[#list + 1] = ids[i]
    end
  end
  redis.call('ZREM', key, unpack(ids))
  if #fields > 0 then redis.call('HSET', P .. 'm', unpack(fields)) end
  for rank, list in pairs(lists) do
    has_ripened[rank] = true
    redis.call('RPUSH', P .. 'q:' .. rank .. ':' .. queue, unpack(list))
  end
  first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not first[1] then return -1 end
  return math.max(0, math.ceil(first[2] - now_ms))
end
