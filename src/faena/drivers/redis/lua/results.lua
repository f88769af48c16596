--! kept record together found forget
-- Results. KEYS: prefix   ARGV: verb, arguments
-- record: id, value, milliseconds to live ('' for ever), for each; returns a text of 0 and 1: whether each was kept
-- watch: channel, ids; from now on changes are told there; returns what is kept of each
-- forget: ids; returns of how many there was anything
-- unwatch: channel, ids        sweep: cursor; forget watches whose channel nobody hears; returns the next cursor, how many
local verb = ARGV[1]
local WATCH_KEPT_MS = 86400000

if verb == 'record' then
  local answers, named, found, ttls, seen, is_twice = {}, {}, {}, {}, {}, false
  for at = 2, #ARGV, 3 do
    local i = (at + 1) / 3
    named[i], found[i], ttls[i] = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    is_twice = is_twice or seen[named[i]]
    seen[named[i]] = true
  end
  local kept = is_twice and {} or record_all(named, found, ttls)
  for i = 1, #named do
    if is_twice then kept[i] = record(named[i], found[i], ttls[i]) end
    answers[i] = kept[i] and '1' or '0'
  end
  tell()
  return table.concat(answers)
elseif verb == 'forget' then
  return forget({unpack(ARGV, 2)})
elseif verb == 'sweep' then
  local found, gone = redis.call('HSCAN', P .. 'watch', ARGV[2], 'COUNT', 200), 0
  local heard = {}
  for i = 1, #found[2], 2 do
    local kept = {}
    for channel in string.gmatch(found[2][i + 1], '%S+') do
      if heard[channel] == nil then heard[channel] = redis.call('PUBSUB', 'NUMSUB', P .. channel)[2] > 0 end
      if heard[channel] then kept[#kept + 1] = channel end
    end
    if #kept == 0 then
      redis.call('HDEL', P .. 'watch', found[2][i])
      gone = gone + 1
    end
  end
  return {found[1], gone}
end

local channel = ARGV[2]
local ids = {unpack(ARGV, 3)}
local watching = redis.call('HMGET', P .. 'watch', unpack(ids))
local found, fields, gone = verb == 'watch' and kept_of(ids) or {}, {}, {}
for i = 1, #ids do
  local others = {}
  for each in string.gmatch(watching[i] or '', '%S+') do
    if each ~= channel then others[#others + 1] = each end
  end
  if verb == 'watch' then
    local value = found[i]
    if not value or string.byte(value) ~= 84 then
      others[#others + 1] = channel
      fields[#fields + 1] = ids[i]
      fields[#fields + 1] = table.concat(others, ' ')
    end
  elseif #others == 0 then
    gone[#gone + 1] = ids[i]
  else
    fields[#fields + 1] = ids[i]
    fields[#fields + 1] = table.concat(others, ' ')
  end
end
if #fields > 0 then
  redis.call('HSET', P .. 'watch', unpack(fields))
  redis.call('PEXPIRE', P .. 'watch', WATCH_KEPT_MS)
end
if #gone > 0 then redis.call('HDEL', P .. 'watch', unpack(gone)) end
return found
