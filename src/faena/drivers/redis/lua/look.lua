-- What is known of nodes. KEYS: prefix   ARGV: whether to add what they are told by ('1'), then for each workflow:
-- id, count, numbers. Returns for each number, standing, compiled (without its message), needs of a join, outcome, failure.
local found, at = {}, 2
while at <= #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  local s, c = P .. 'ws:' .. id, P .. 'wc:' .. id
  local rows, queue, seen = {}, {}, {}
  for i = at + 2, at + 1 + count do queue[#queue + 1] = ARGV[i] end
  local asked, next_one = #queue, 1
  while next_one <= #queue do
    local number = queue[next_one]
    local standing = not seen[number] and redis.call('HMGET', s, number, 'v' .. number, 'f' .. number)
    seen[number] = true
    if standing and standing[1] then
      local compiled = redis.call('HMGET', c, number, 'j' .. number)
      local blob = compiled[1]
      local base, _, length = struct.unpack('>I4I4I4', blob)
      rows[#rows + 1] = {number, standing[1], string.sub(blob, 1, 12 + length), compiled[2], standing[2], standing[3]}
      if ARGV[1] == '1' and next_one <= asked then
        local made = cmsgpack.unpack(string.sub(blob, 13, 12 + length))
        local _, _, _, _, cause = struct.unpack('>BBi4i4i4', standing[1])
        if made[10] == 'value' and made[9][1] then queue[#queue + 1] = string.format('%d', made[9][1] + base) end
        if made[10] == 'failed' and cause >= 0 then queue[#queue + 1] = string.format('%d', cause) end
      end
    end
    next_one = next_one + 1
  end
  found[#found + 1] = rows
  at = at + 2 + count
end
return found
