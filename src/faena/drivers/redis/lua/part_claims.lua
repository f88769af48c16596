-- Which task has claimed which key: u:<key>, a packed {task, until, since, taken (seconds), 1 if published}.
local function claimant_of(key)
  local kept = redis.call('GET', P .. 'u:' .. key)
  return kept and cmsgpack.unpack(kept)
end

local function keep_claim(key, claimant, ttl_ms)
  -- a key whose time is over already claims nothing
  if tonumber(ttl_ms) < 1 then
    redis.call('DEL', P .. 'u:' .. key)
  else
    redis.call('SET', P .. 'u:' .. key, cmsgpack.pack(claimant), 'PX', ttl_ms)
  end
end

local function release_claim(key, id)
  local claimant = claimant_of(key)
  if claimant and claimant[1] == id then redis.call('DEL', P .. 'u:' .. key) end
end
