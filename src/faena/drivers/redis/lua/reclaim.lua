--! clock moment wake lanes back
-- Put back what a fetch marked whose answer never came: to this holder it was never handed out.
-- KEYS: prefix, held   ARGV: claims
local lost = {}
for i = 1, #ARGV do lost[ARGV[i]] = true end
local held = redis.call('HGETALL', KEYS[2])
local entries, gone = {}, {}
for i = 1, #held, 2 do
  if lost[held[i + 1]] then
    local value = redis.call('HGET', P .. 'm', held[i])
    if value then entries[#entries + 1] = {held[i], value} end
    gone[#gone + 1] = held[i]
    give_back(held[i], true)
  end
end
if #gone > 0 then redis.call('HDEL', KEYS[2], unpack(gone)) end
if #entries > 0 then back(entries) end
wake_touched()
return #entries
