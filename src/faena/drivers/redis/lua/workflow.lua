--! clock moment wake push kept record forget workflow
-- Workflows, but for the steps that come with completions. KEYS: prefix   ARGV: verb, arguments
local verb = ARGV[1]

local function messages_of(flow, workflows, numbers)
  local found = {}
  workflows.read(flow, numbers)
  for i = 1, #numbers do
    local node = flow.nodes[numbers[i]]
    if node and node.state == 1 then
      found[#found + 1] = (workflows.message_of(flow, numbers[i], node, workflows.links_of(flow, numbers[i])))
    end
  end
  return found
end

local function numbers_in(texts)
  local numbers = {}
  for i = 1, #texts do numbers[i] = tonumber(texts[i]) end
  table.sort(numbers)
  return numbers
end

local function ready_of(id, most, fresh)
  -- the messages of all that is ready, or of what is named; or, where that is too much for once, their numbers
  local workflows = open_workflows(nil)
  local flow = workflows.flow_of(id)
  if not flow then return {{}, {}} end
  local numbers = fresh or redis.call('ZRANGE', flow.u, 0, -1)
  if #numbers > most then return {{}, numbers} end
  return {messages_of(flow, workflows, numbers_in(numbers)), {}}
end

if verb == 'build' then
  -- token, then number, standing, compiled, needs, outcome for each: nodes of a workflow that begins when all of it is here
  local REST_MS = 3600000
  local head, standings, compiled, ready = P .. 'wb:' .. ARGV[2], {}, {}, {}
  for at = 3, #ARGV, 5 do
    standings[#standings + 1], standings[#standings + 2] = ARGV[at], ARGV[at + 1]
    compiled[#compiled + 1], compiled[#compiled + 2] = ARGV[at], ARGV[at + 2]
    if ARGV[at + 3] ~= '' then
      compiled[#compiled + 1], compiled[#compiled + 2] = 'j' .. ARGV[at], ARGV[at + 3]
    end
    if ARGV[at + 4] ~= '' then
      standings[#standings + 1], standings[#standings + 2] = 'v' .. ARGV[at], ARGV[at + 4]
    end
    if string.byte(ARGV[at + 1]) == 1 then
      ready[#ready + 1], ready[#ready + 2] = string.format('%.0f', now_ms), string.format('%08d', ARGV[at])
    end
  end
  redis.call('HSET', head .. ':s', unpack(standings))
  redis.call('HSET', head .. ':c', unpack(compiled))
  if #ready > 0 then redis.call('ZADD', head .. ':u', unpack(ready)) end
  for _, part in ipairs({':s', ':c', ':u'}) do redis.call('PEXPIRE', head .. part, REST_MS) end
  return 1
elseif verb == 'start' then  -- whether to publish ('1'), and see `start`
  local rows = ARGV[2] == '1' and {} or nil
  local is_new = open_workflows(rows).start(3)
  if rows then push(rows) end
  tell()
  if not is_new then
    redis.call('UNLINK', P .. 'wb:' .. ARGV[11] .. ':s', P .. 'wb:' .. ARGV[11] .. ':c', P .. 'wb:' .. ARGV[11] .. ':u')
    return {0, {}, {}}
  end
  if rows then return {1, {}, {}} end
  local ready = ready_of(ARGV[3], 1000)
  return {1, ready[1], ready[2]}
elseif verb == 'advance' then
  -- number of records, three words each; then kind, number of words, and these: e (an event), s (a workflow that begins)
  -- returns for each workflow its id, and what `ready_of` does; where something is no news, of all that is ready
  local workflows, ids, seen, starts, flows, repeated = open_workflows(nil), {}, {}, {}, {}, {}
  local at = 3 + 3 * ARGV[2]
  for word = 3, at - 1, 3 do record(ARGV[word], ARGV[word + 1], ARGV[word + 2]) end
  while at <= #ARGV do
    local id = ARGV[at + 2]
    if not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
    if ARGV[at] == 'e' then
      repeated[id] = not workflows.take(at + 2) or repeated[id]
      flows[id] = workflows.flow_of(id)
    else
      repeated[id] = true  -- all that is ready of one that has just begun is fresh
      starts[#starts + 1] = at + 2
    end
    at = at + 2 + ARGV[at + 1]
  end
  workflows.flush()
  for i = 1, #starts do workflows.start(starts[i]) end
  tell()
  local found = {}
  for i = 1, #ids do
    local fresh = not repeated[ids[i]] and (flows[ids[i]] and flows[ids[i]].fresh or {}) or nil
    local ready = ready_of(ids[i], 1000, fresh)
    found[i] = {ids[i], ready[1], ready[2]}
  end
  return found
elseif verb == 'messages' then  -- workflow, numbers
  local workflows = open_workflows(nil)
  local flow = workflows.flow_of(ARGV[2])
  return flow and messages_of(flow, workflows, numbers_in({unpack(ARGV, 3)})) or {}
elseif verb == 'send' then  -- workflow, most; publish what is ready, here; returns how many still are
  local rows = {}
  local workflows = open_workflows(rows)
  local flow = workflows.flow_of(ARGV[2])
  if not flow then return 0 end
  local numbers = numbers_in(redis.call('ZRANGE', flow.u, 0, ARGV[3] - 1))
  if #numbers == 0 then return 0 end
  workflows.read(flow, numbers)
  for i = 1, #numbers do
    local node = flow.nodes[numbers[i]]
    flow.changed[numbers[i]] = node
    flow.ready[i] = numbers[i]
  end
  workflows.flush()
  push(rows)
  return redis.call('ZCARD', flow.u)
elseif verb == 'published' then  -- workflow, node, run for each
  local workflows = open_workflows({})
  for at = 2, #ARGV, 3 do
    local flow, number = workflows.flow_of(ARGV[at]), tonumber(ARGV[at + 1])
    if flow and number < flow.size then
      local node = workflows.standing(flow, number)
      if node.state == 1 and node.run == tonumber(ARGV[at + 2]) then workflows.set(flow, number, node, 2) end
    end
  end
  workflows.flush()
elseif verb == 'unpublished' then  -- before (milliseconds), most
  local found, left = {}, tonumber(ARGV[3])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'wfu', '-inf', '(' .. ARGV[2])) do
    local workflows = open_workflows(nil)
    local flow = workflows.flow_of(id)
    if not flow then
      redis.call('ZREM', P .. 'wfu', id)
    else
      local numbers = redis.call('ZRANGEBYSCORE', flow.u, '-inf', '(' .. ARGV[2], 'LIMIT', 0, left)
      for _, body in ipairs(messages_of(flow, workflows, numbers_in(numbers))) do found[#found + 1] = body end
      left = tonumber(ARGV[3]) - #found
      if left <= 0 then break end
    end
  end
  return found
elseif verb == 'statuses' then  -- ids
  local found = {}
  for i = 2, #ARGV do
    found[i - 1] = redis.call('HMGET', P .. 'wf:' .. ARGV[i], 'body', 'state', 'size', 'active', 'finished', 'expires')
  end
  return found
elseif verb == 'latest' then  -- state ('' for any), offset, most; returns ids
  local index = ARGV[2] == '' and 'wfs' or 'wfs:' .. ARGV[2]
  while true do
    local ids, gone = redis.call('ZREVRANGE', P .. index, ARGV[3], ARGV[3] + ARGV[4] - 1), 0
    for i = 1, #ids do
      if redis.call('EXISTS', P .. 'wf:' .. ids[i]) == 0 then  -- the server has removed it
        forget_workflow(ids[i])
        gone = gone + 1
      end
    end
    if gone == 0 then return ids end
  end
elseif verb == 'cancel' then  -- workflow, numbers; returns the ids of what was sent, and the size; -1: it is not known
  local workflows = open_workflows(nil)
  local flow = workflows.flow_of(ARGV[2])
  if not flow then return {{}, -1} end
  local first, last = tonumber(ARGV[3]), math.min(flow.size - 1, tonumber(ARGV[4]))
  local numbers = {}
  for number = first, last do numbers[#numbers + 1] = number end
  local sent = workflows.revoke(flow, numbers)
  workflows.flush()
  tell()
  return {sent, flow.size}
elseif verb == 'anew' then
  -- workflow, turn, whether to publish, whether its output is among them, then node, standing, id ('' for none), content for
  -- each; returns 0: something has happened since that turn
  local rows = ARGV[4] == '1' and {} or nil
  local workflows = open_workflows(rows)
  local flow = workflows.flow_of(ARGV[2])
  if not flow or flow.turn ~= tonumber(ARGV[3]) then return {0, {}, {}} end
  local numbers, failures, outcomes, again = {}, {}, {}, {}
  for at = 6, #ARGV, 4 do
    local number = tonumber(ARGV[at])
    workflows.keep_standing(flow, number, ARGV[at + 1])
    flow.changed[number] = flow.nodes[number]
    numbers[#numbers + 1] = number
    failures[#failures + 1] = 'f' .. ARGV[at]
    outcomes[#outcomes + 1], outcomes[#outcomes + 2] = 'v' .. ARGV[at], ARGV[at + 3]
    if ARGV[at + 2] ~= '' then again[#again + 1] = ARGV[at + 2] end
  end
  for from = 1, #failures, 1000 do redis.call('HDEL', flow.s, unpack(failures, from, math.min(#failures, from + 999))) end
  for from = 1, #outcomes, 1000 do redis.call('HSET', flow.s, unpack(outcomes, from, math.min(#outcomes, from + 999))) end
  forget(again)
  workflows.begin(flow, numbers)
  if ARGV[5] == '1' then flow.again = 'RUNNING' end
  workflows.flush()
  if rows then push(rows) end
  tell()
  if rows then return {1, {}, {}} end
  local ready = ready_of(ARGV[2], 1000)
  return {1, ready[1], ready[2]}
elseif verb == 'forget' then  -- ids; only those at rest
  local gone = 0
  for i = 2, #ARGV do
    if redis.call('HGET', P .. 'wf:' .. ARGV[i], 'active') == '0' then
      forget_workflow(ARGV[i])
      gone = gone + 1
    end
  end
  return gone
elseif verb == 'expire' then  -- most
  local over = redis.call('ZRANGEBYSCORE', P .. 'wfx', '-inf', string.format('%.3f', now_ms), 'LIMIT', 0, ARGV[2])
  for i = 1, #over do forget_workflow(over[i]) end
  return #over
end
return 1
