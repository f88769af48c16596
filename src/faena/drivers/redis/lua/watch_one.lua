--! kept
-- Watch one result that nobody else watches: what `results watch` does, with the least that the server can do it with.
-- KEYS: prefix   ARGV: channel, id   Returns what is kept of it; 0 where others watch it: then nothing was done.
local value = call('GET', results .. ARGV[2]) or call('HGET', moments .. string.sub(ARGV[2], 1, MOMENT), ARGV[2])
if value and string.byte(value) == 84 then return value end
if call('HSETNX', P .. 'watch', ARGV[2], ARGV[1]) == 0 then return 0 end
call('PEXPIRE', P .. 'watch', 86400000)
return value
