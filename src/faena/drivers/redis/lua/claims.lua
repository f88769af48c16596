--! clock moment wake lanes push place takeout claims
-- Which task has which key. A message is eight words: key, until, milliseconds it counts, and those of a row (see push).
-- KEYS: prefix   ARGV: verb, arguments
-- take: 1 if the messages are here, messages; returns for each nothing, or who has its key
-- over: id of who had it, message      replace: message; both return 1 if it has the key now
-- published, release: key, id, for each
local verb, now_s = ARGV[1], string.format('%.6f', now_ms / 1000)

local function whereabouts(id)
  -- whether its message is here, is held, waits for an event
  local value = redis.call('HGET', P .. 'm', id)
  local is_here = value and string.byte(value) ~= 0
  return is_here, is_here and held_of({id})[id], redis.call('HEXISTS', P .. 'parked', id) == 1, value
end

local function present(key, is_joint)
  -- Returns who has a key: for a broker elsewhere, whoever has taken it; here, only one whose task is there.
  local claimant = claimant_of(key)
  if not claimant then return end
  local is_here, is_held, is_parked = whereabouts(claimant[1])
  claimant[6], claimant[7] = is_parked and 1 or 0, is_here and not is_held and 1 or 0
  if not is_joint then
    claimant[7] = nil
    return claimant
  end
  local kind = claimant[2]
  if kind == 'window' or is_parked or (is_here and (kind == 'end' or not is_held)) then return claimant end
end

if verb == 'take' then
  local is_joint, answers = ARGV[2] == '1', {}
  for at = 3, #ARGV, 8 do
    local key, id = ARGV[at], ARGV[at + 6]
    local claimant = present(key, is_joint)
    if claimant and claimant[1] ~= id then
      for i = 1, #claimant do claimant[i] = tostring(claimant[i]) end
      answers[#answers + 1] = claimant
    else
      if not claimant then keep_claim(key, {id, ARGV[at + 1], now_s, now_s, is_joint and 1 or 0}, ARGV[at + 2]) end
      if is_joint then push_one(at + 3) end
      answers[#answers + 1] = ''
    end
  end
  return answers
elseif verb == 'over' then
  local id, claimant = ARGV[3 + 6], claimant_of(ARGV[3])
  if not claimant or (claimant[1] ~= ARGV[2] and claimant[1] ~= id) then return 0 end
  if redis.call('HEXISTS', P .. 'parked', claimant[1]) == 1 then return 0 end
  keep_claim(ARGV[3], {id, ARGV[4], now_s, now_s, 0}, ARGV[5])
  return 1
elseif verb == 'replace' then
  local key, id, claimant = ARGV[2], ARGV[2 + 6], claimant_of(ARGV[2])
  if not claimant or claimant[1] ~= id then return 0 end
  local is_here, is_held, _, value = whereabouts(id)
  if not is_here or is_held then return 0 end
  take_out(id, value)
  keep_claim(key, {id, ARGV[3], claimant[3], now_s, 1}, ARGV[4])
  push_one(5)
  wake_touched()
  return 1
end

for at = 2, #ARGV, 2 do
  if verb == 'release' then
    release_claim(ARGV[at], ARGV[at + 1])
  else
    local claimant = claimant_of(ARGV[at])
    local left = redis.call('PTTL', P .. 'u:' .. ARGV[at])
    if claimant and claimant[1] == ARGV[at + 1] and left > 0 then
      claimant[5] = 1
      keep_claim(ARGV[at], claimant, left)
    end
  end
end
return 1
