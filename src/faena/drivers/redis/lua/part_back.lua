-- Put messages back to where they were. `entries`: {id, value}; a list stays in the order of its stamps.
local function back(entries)
  local lists, touched = {}, {}
  for i = 1, #entries do
    local value = entries[i][2]
    local length = string.byte(value, 13) * 256 + string.byte(value, 14)
    local queue = string.sub(value, 15, 14 + length)
    local key = P .. 'q:' .. string.byte(value, 12) .. ':' .. queue
    local list = lists[key]
    if not list then
      list = {}
      lists[key] = list
    end
    list[#list + 1] = {string.sub(value, 1, 11), entries[i][1]}
    touched[queue] = true
  end
  for key, list in pairs(lists) do
    table.sort(list, function(a, b) return a[1] < b[1] end)
    local last, room = list[#list][1], 1000
    while room > 0 do  -- those before the last of ours, put back by others meanwhile, are lined up with ours
      local head = redis.call('LINDEX', key, 0)
      local value = head and redis.call('HGET', P .. 'm', head)
      if not value or string.byte(value) == 0 or string.sub(value, 1, 11) >= last then break end
      redis.call('LPOP', key)
      list[#list + 1] = {string.sub(value, 1, 11), head}
      room = room - 1
    end
    if room < 1000 then table.sort(list, function(a, b) return a[1] < b[1] end) end
    for from = #list, 1, -500 do
      local part = {}
      for i = from, math.max(1, from - 499), -1 do part[#part + 1] = list[i][2] end
      redis.call('LPUSH', key, unpack(part))
    end
  end
  for queue in pairs(touched) do
    redis.call('ZADD', P .. 'queues', 'NX', 0, queue)
    wake(queue)
  end
end
