--! clock moment wake lanes back known
-- End a holder: everything it held goes back to where it was, at once. Repeating it changes nothing.
-- KEYS: prefix, held   ARGV: holder, whether only if its lease has ended ('1'), then for each verdict: id, 1 if it counts a
-- crash, verdict.  Returns how many went back; -1: its lease stands.
if ARGV[2] == '1' then
  local until_ms = redis.call('ZSCORE', P .. 'leases', ARGV[1])
  if not until_ms or tonumber(until_ms) > now_ms then return -1 end
end
local verdicts = {}
for i = 3, #ARGV, 3 do verdicts[ARGV[i]] = {tonumber(ARGV[i + 1]), ARGV[i + 2]} end
redis.call('ZREM', P .. 'leases', ARGV[1])
local ids = redis.call('HKEYS', KEYS[2])
local any_limited = redis.call('EXISTS', P .. 'la') == 1
local count, at_s = 0, string.format('%.6f', now_ms / 1000)
local entries = {}
for from = 1, #ids, 500 do
  local last = math.min(#ids, from + 499)
  local values = redis.call('HMGET', P .. 'm', unpack(ids, from, last))
  for i = from, last do
    local value, id = values[i - from + 1], ids[i]
    if any_limited then give_back(id) end
    if value then
      local returned, crashes, _, verdict = known_of(id)
      local judged = verdicts[id]
      if judged then
        crashes = crashes + judged[1]
        verdict = judged[2]
      end
      know(id, returned + 1, crashes, at_s, verdict)
      entries[#entries + 1] = {id, value}
      count = count + 1
    end
  end
end
if #entries > 0 then back(entries) end
if any_limited then wake_touched() end
redis.call('DEL', KEYS[2])
return count
