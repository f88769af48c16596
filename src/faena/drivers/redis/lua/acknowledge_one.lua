--! kept
-- Let go of one message that is done, and keep its result: what `acknowledge` does, with the least that the server can do it
-- with. KEYS: prefix, held   ARGV: claim, milliseconds to live, id, result, which is terminal
-- Returns 0 where it is not ours any more, or something is kept of it already: then nothing was done, and `acknowledge` knows
-- what to do.
local held, id, value, recent, watch = KEYS[2], ARGV[3], ARGV[4], P .. 'recent', P .. 'watch'
if call('HGET', held, id) ~= ARGV[1] then return 0 end
if call('EXISTS', results .. id, moments .. string.sub(id, 1, MOMENT)) > 0 then return 0 end
call('HDEL', held, id)  -- first, and without memory: see `complete`
call('HDEL', P .. 'm', id)
call('HDEL', P .. 'x', id)
call('SET', results .. id, value, 'PX', ARGV[2])
if call('LPUSH', recent, id) > 10000 then call('LTRIM', recent, 0, 9999) end
call('PEXPIRE', recent, 604800000)
local channels = call('HGET', watch, id)
if channels then
  call('HDEL', watch, id)
  if #value > 4096 then value = '' end  -- see `tell`
  local news = 'T' .. struct.pack('>I4I4', #id, #value) .. id .. value
  for channel in string.gmatch(channels, '%S+') do call('PUBLISH', P .. channel, news) end
end
return 1
