--! clock moment wake lanes place takeout
-- Take waiting and delayed messages out for good; return their values.
-- KEYS: prefix   ARGV: ids
local values = redis.call('HMGET', P .. 'm', unpack(ARGV))
local held, found = held_of(ARGV), {}
for i = 1, #ARGV do
  local id, value = ARGV[i], values[i]
  if value and string.byte(value) ~= 0 and not held[id] then
    held[id] = true  -- named twice
    found[#found + 1] = value
    take_out(id, value)
  end
end
wake_touched()
return found
