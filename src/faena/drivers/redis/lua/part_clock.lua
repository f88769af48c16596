-- The server's clock, the only one that decides: milliseconds, and a stamp of 8 bytes that sorts as time does.
local now_ms, stamp
local function look_at_clock()
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + time[2] / 1000
  stamp = struct.pack('>I4I4', time[1], time[2])
end
