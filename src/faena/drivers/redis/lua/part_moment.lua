-- The server's clock, the only one that decides: milliseconds, and a stamp of 8 bytes that sorts as time does.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000
local stamp = struct.pack('>I4I4', time[1], time[2])
