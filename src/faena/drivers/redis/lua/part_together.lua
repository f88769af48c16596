-- Keep results that come together: those of one moment, if they are terminal and live equally long, go into one hash.
local MOST = 10000  -- in one hash: more would hold the server up when they go
local SHORT_MS, LONG_MS, APART_MS = 60000, 3600000, 2000

local function keep_together(moment, ids, found, ttl_ms, first, last)
  -- Returns false where they have to lie by themselves. A hash lives a sixtieth longer than its first ones have to, a minute
  -- at most, and takes others that have to live no longer than it does, and hardly less: none goes too early, nor much later
  -- than it has to.
  local ttl = tonumber(ttl_ms)
  if last - first + 1 < FEW or not ttl or ttl < SHORT_MS then return false end
  local alone, fields = {}, {}
  for i = first, last do
    local at = i - first + 1
    alone[at], fields[2 * at - 1], fields[2 * at] = results .. ids[i], ids[i], found[i]
  end
  if call('EXISTS', unpack(alone)) > 0 then return false end
  local left_ms, spare_ms = call('PTTL', moment), math.ceil(math.min(ttl, LONG_MS) / 60)
  if left_ms ~= -2 then
    if left_ms < ttl or left_ms > ttl + spare_ms + APART_MS or call('HLEN', moment) >= MOST then return false end
    for _, there in ipairs(call('HMGET', moment, unpack(ids, first, last))) do
      if there then return false end
    end
  end
  call('HSET', moment, unpack(fields))
  if left_ms == -2 then call('PEXPIRE', moment, ttl + spare_ms) end
  local count = #changed - first + 1
  if count == 0 and last == #ids then  -- most often all are of one moment
    changed, values = ids, found
  else
    for i = first, last do changed[count + i], values[count + i] = ids[i], found[i] end
  end
  return true
end

local function record_all(ids, found, ttls)
  -- Records, each id once; `ttls` is for each, or one for all. Returns which were kept.
  local kept, first, moment, ttl = {}, 1, nil, nil
  local byte, sub = string.byte, string.sub
  local function keep(last)
    local is_together = moment and keep_together(moments .. moment, ids, found, ttl, first, last)
    for i = first, last do kept[i] = is_together or record(ids[i], found[i], ttl) end
  end
  local is_one, own_ttl = type(ttls) ~= 'table', ttls
  for i, id in ipairs(ids) do
    local own = byte(found[i]) == 84 and sub(id, 1, MOMENT)  -- what is not terminal changes
    if not is_one then own_ttl = ttls[i] end
    if own ~= moment or own_ttl ~= ttl then
      keep(i - 1)
      first, moment, ttl = i, own, own_ttl
    end
  end
  keep(#ids)
  return kept
end
