--! clock moment wake push
-- Dead letters. KEYS: prefix   ARGV: verb, arguments
-- list: queue ('' for all), reason, before (seconds), from (place among all, the latest first), most to look at
--   returns ids with their letters, and how many were looked at
-- find: id     replace: id, queue, value without its stamp     remove: ids     requeue: ids; one whose id is in a queue again stays dead, and so does what is no message
local verb = ARGV[1]
local function letter_of(id, packed)
  local letter = cmsgpack.unpack(packed)
  table.insert(letter, 1, id)
  letter[6], letter[7] = tostring(letter[6]), tostring(letter[7])
  return letter
end

if verb == 'find' then
  local packed = redis.call('HGET', P .. 'dead', ARGV[2])
  return packed and letter_of(ARGV[2], packed) or false
elseif verb == 'replace' then
  local packed = redis.call('HGET', P .. 'dead', ARGV[2])
  if not packed then return 0 end
  local letter = cmsgpack.unpack(packed)
  letter[1], letter[7] = ARGV[3], string.sub(letter[7], 1, 8) .. ARGV[4]
  redis.call('HSET', P .. 'dead', ARGV[2], cmsgpack.pack(letter))
  register(ARGV[3])
  return 1
elseif verb == 'list' then
  local from = tonumber(ARGV[5])
  local ids = redis.call('ZREVRANGE', P .. 'deads', from, from + ARGV[6] - 1)
  local found = {}
  if #ids == 0 then return {found, 0} end
  local letters = redis.call('HMGET', P .. 'dead', unpack(ids))
  for i = 1, #ids do
    if letters[i] then
      local letter = letter_of(ids[i], letters[i])
      if (ARGV[2] == '' or letter[2] == string.sub(ARGV[2], 2)) and (ARGV[3] == '' or letter[3] == ARGV[3])
        and (ARGV[4] == '' or tonumber(letter[5]) < tonumber(ARGV[4])) then
        found[#found + 1] = letter
      end
    end
  end
  return {found, #ids}
end

local done, touched = 0, {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local packed = redis.call('HGET', P .. 'dead', id)
  if packed then
    local letter = cmsgpack.unpack(packed)
    local goes = verb == 'remove'
    if not goes and letter[2] ~= 'malformed' then
      local there = redis.call('HGET', P .. 'm', id)
      if there and string.byte(there) == 0 then
        bury_tombstone(id, there)
        there = false
      end
      if not there then
        local value = letter[7]
        redis.call('HSET', P .. 'm', id, stamp .. string.sub(value, 9))
        redis.call('RPUSH', P .. 'q:' .. string.byte(value, 12) .. ':' .. letter[1], id)
        redis.call('HDEL', P .. 'x', id)
        touched[letter[1]] = true
        goes = true
      end
    end
    if goes then
      redis.call('HDEL', P .. 'dead', id)
      redis.call('ZREM', P .. 'deads', id)
      done = done + 1
    end
  end
end
for queue in pairs(touched) do
  register(queue)
  wake(queue)
end
return done
