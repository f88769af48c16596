-- One token for each queue wakes one of those who wait for it (BLPOP); who takes it and leaves something behind makes the
-- next. The token expires: whoever was busy for that long looks before waiting.
local function wake(queue)
  local key = P .. 'w:' .. queue
  if redis.call('EXISTS', key) == 0 then
    redis.call('RPUSH', key, '1')
    redis.call('PEXPIRE', key, 60000)
  end
end
