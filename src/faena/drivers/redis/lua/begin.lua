--! known
-- Note that messages have begun, and must not run twice; those that are still held by the claims that took them.
-- KEYS: prefix, held   ARGV: verdict, then for each: id, claim.   Returns a text of 0 and 1: whether each was ours.
local answers = {}
for at = 2, #ARGV, 2 do
  local id = ARGV[at]
  local is_ours = redis.call('HGET', KEYS[2], id) == ARGV[at + 1]
  answers[#answers + 1] = is_ours and '1' or '0'
  if is_ours then
    local returned, crashes, when = known_of(id)
    know(id, returned, crashes, when, ARGV[1])
  end
end
return table.concat(answers)
