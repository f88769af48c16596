-- Keep results. The first terminal state wins: a value begins with T if its state is terminal, with N if not.
local RECENT, RECENT_KEPT_MS = 10000, 604800000
local changed, values = {}, {}
local has_moment = {}
local function record(id, value, ttl_ms)
  local moment = moments .. string.sub(id, 1, MOMENT)
  if has_moment[moment] == nil then has_moment[moment] = call('EXISTS', moment) == 1 end
  if has_moment[moment] and call('HEXISTS', moment, id) == 1 then return false end  -- only what is terminal lies there
  local key, unit = results .. id, 'PX'
  if ttl_ms == '' then
    if not call('SET', key, value, 'NX') then
      if call('GETRANGE', key, 0, 0) == 'T' then return false end
      call('SET', key, value)
    end
  else
    if string.byte(ttl_ms) == 45 or ttl_ms == '0' then
      unit, ttl_ms = 'PXAT', '1'  -- its time was over before it came
    end
    if not call('SET', key, value, unit, ttl_ms, 'NX') then
      if call('GETRANGE', key, 0, 0) == 'T' then return false end
      call('SET', key, value, unit, ttl_ms)
    end
  end
  local at = #changed + 1
  changed[at], values[at] = id, value
  return true
end

local function tell()
  -- Those who watch one of these have left the name of their channel; who is gone is forgotten.
  if #changed == 0 then return end
  for from = 1, #changed, 1000 do
    redis.call('LPUSH', P .. 'recent', unpack(changed, from, math.min(#changed, from + 999)))
  end
  redis.call('LTRIM', P .. 'recent', 0, RECENT - 1)
  redis.call('PEXPIRE', P .. 'recent', RECENT_KEPT_MS)
  if redis.call('EXISTS', P .. 'watch') == 0 then return end
  local watching = redis.call('HMGET', P .. 'watch', unpack(changed))
  local channels = {}
  for i = 1, #changed do
    if watching[i] then
      for channel in string.gmatch(watching[i], '%S+') do
        local news = channels[channel]
        if not news then
          news = {}
          channels[channel] = news
        end
        local id, value = changed[i], values[i]
        local is_terminal = string.byte(value) == 84
        -- a small record that will not change travels along: who waits for it need not ask
        if not is_terminal or #value > 4096 then value = '' end
        news[#news + 1] = (is_terminal and 'T' or 'N') .. struct.pack('>I4I4', #id, #value) .. id .. value
      end
      if string.byte(values[i]) == 84 then redis.call('HDEL', P .. 'watch', changed[i]) end
    end
  end
  for channel, news in pairs(channels) do redis.call('PUBLISH', P .. channel, table.concat(news)) end
end
