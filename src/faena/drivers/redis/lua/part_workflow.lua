-- Steps of workflows: the law is `faena.model.workflow.Step`, word for word; here stands how it reads and writes hashes.
-- All events of one workflow in one script are one step: each node is read once, and written once by `flush`.
--   wf:<id>  what is known of the whole      ws:<id>  number: standing, v<number>: outcome, f<number>: failure
--   wu:<id>  nodes that are ready            wc:<id>  number: what was compiled, j<number>: the needs of a join
--   wfs, wfs:<state>, wfx, wfu: all workflows in their order, by state, by their end, those with ready nodes
-- A standing: state, flags (1: through a group, 2: virtual), waits, run, cause, alias (-1: none), since.
-- What was compiled: base (numbers count from there), further dependent + 1, length, links and names, message in pieces.
local STANDING = '>BBi4i4i4i4d'
local YEAR_MS, DAY_MS, REST_MS = 31536000000, 86400000, 3600000
local function lives(key, ms)
  -- an index lives as long as the last of what it names
  local left = redis.call('PTTL', key)
  if left == -1 and ms and redis.call('ZCARD', key) > 1 then return end
  if not ms then
    redis.call('PERSIST', key)
  elseif left < ms then
    redis.call('PEXPIRE', key, string.format('%.0f', ms))
  end
end

local function forget_workflow(id)
  local state = redis.call('HGET', P .. 'wf:' .. id, 'state')
  redis.call('UNLINK', P .. 'wf:' .. id, P .. 'ws:' .. id, P .. 'wc:' .. id, P .. 'wu:' .. id)
  for _, index in ipairs({'wfs', 'wfx', 'wfu'}) do redis.call('ZREM', P .. index, id) end
  for _, each in ipairs(state and {state} or {'RUNNING', 'SUCCESS', 'FAILURE', 'REVOKED'}) do
    redis.call('ZREM', P .. 'wfs:' .. each, id)
  end
end

-- `rows`: where messages to publish are put; nil: they stand as ready, for the caller to publish.
local function open_workflows(rows)
  local call, pack, format = redis.call, struct.pack, string.format
  local WAITING, READY, SENT, SUCCESS, FAILURE, REVOKED, SKIPPED, TOLERATED, ABANDONED = 0, 1, 2, 3, 4, 5, 6, 7, 8
  local DONE = {[SUCCESS] = true, [SKIPPED] = true, [TOLERATED] = true}
  local BROKEN = {[FAILURE] = true, [REVOKED] = true, [ABANDONED] = true}
  local OUTCOMES = {
    [SUCCESS] = 'SUCCESS', [SKIPPED] = 'SUCCESS', [TOLERATED] = 'SUCCESS', [REVOKED] = 'REVOKED',
    [FAILURE] = 'FAILURE', [ABANDONED] = 'FAILURE'}
  local now_s, now_text = now_ms / 1000, format('%.0f', now_ms)
  local flows, in_order, published = {}, {}, 0

  -- reading -----------------------------------------------------------------------------------------------

  local function flow_of(id)
    local flow = flows[id]
    if flow ~= nil then return flow end
    local key = P .. 'wf:' .. id
    local known = call('HMGET', key, 'size', 'active', 'output', 'keep_ms', 'root', 'state', 'turn', 'until')
    if not known[1] then
      flows[id] = false
      return false
    end
    flow = {
      id = id, key = key, s = P .. 'ws:' .. id, c = P .. 'wc:' .. id, u = P .. 'wu:' .. id,
      size = tonumber(known[1]), active = tonumber(known[2]), output = tonumber(known[3]), keep_ms = tonumber(known[4]),
      root = known[5], state = known[6], turn = tonumber(known[7]), until_ms = tonumber(known[8]) or math.huge,
      nodes = {}, links = {}, blobs = {}, fields = {}, changed = {}, ready = {}, ended = {}, is_changed = false}
    flows[id] = flow
    in_order[#in_order + 1] = flow
    return flow
  end

  local function keep_standing(flow, number, text)
    local state, flags, waits, run, cause, alias, since = struct.unpack(STANDING, text)
    local node = {
      state = state, was = state, through_group = flags % 2 == 1, is_virtual = flags >= 2, waits = waits, run = run,
      cause = cause, alias = alias, since = since}
    flow.nodes[number] = node
    return node
  end

  local function standing(flow, number)
    return flow.nodes[number] or keep_standing(flow, number, call('HGET', flow.s, number))
  end

  local function keep_links(flow, number, blob)
    local base, further, length, at = struct.unpack('>I4I4I4', blob)
    local made = cmsgpack.unpack(string.sub(blob, at, at + length - 1))
    local dependents, hooks = made[1], made[2]
    if base > 0 then
      for i = 1, #dependents do dependents[i] = dependents[i] + base end
      for i = 1, #hooks do hooks[i] = hooks[i] + base end
    end
    if further > 0 then table.insert(dependents, 1, further - 1) end
    local links = {
      dependents = dependents, hooks = hooks, policy = made[3], is_join = made[5], timing = made[6],
      id = made[7] or flow.id .. '.' .. format('%d', number), name = made[8], source = made[14] and made[14] + base,
      blob = blob, message_at = at + length}
    flow.links[number] = links
    return links
  end

  local function links_of(flow, number)
    return flow.links[number] or keep_links(flow, number, flow.blobs[number] or call('HGET', flow.c, number))
  end

  local function read(flow, numbers)
    -- the standings of many at once
    for from = 1, #numbers, 1000 do
      local missing = {}
      for i = from, math.min(#numbers, from + 999) do
        if not flow.nodes[numbers[i]] then missing[#missing + 1] = numbers[i] end
      end
      if #missing > 0 then
        local found = call('HMGET', flow.s, unpack(missing))
        for i = 1, #missing do
          if found[i] then keep_standing(flow, missing[i], found[i]) end
        end
      end
    end
  end

  -- the law -----------------------------------------------------------------------------------------------

  local begin_one

  local function set(flow, number, node, state)
    node.state = state
    flow.changed[number] = node
  end

  local function begin_alone(flow, number, node)
    if node.alias >= 0 or node.is_virtual then
      set(flow, number, node, SUCCESS)
      flow.ended[#flow.ended + 1] = number
      return true
    end
    set(flow, number, node, READY)
    flow.ready[#flow.ready + 1] = number
    flow.active = flow.active + 1
    return false
  end

  local function fire(flow, hooks, cause)
    for i = 1, #hooks do
      local node = standing(flow, hooks[i])
      if node.state == WAITING and node.waits == 1 and node.cause < 0 then
        node.waits, node.cause = 0, cause
        flow.changed[hooks[i]] = node
        begin_one(flow, hooks[i], node)
      end
    end
  end

  local function has_begun(flow, links)
    return not links.source or not BROKEN[standing(flow, links.source).state]
  end

  local function break_off(flow, number, node, source, through_group)
    local stands_for_itself = node.alias >= 0
    local state = stands_for_itself and FAILURE or ABANDONED
    local links = (node.is_virtual or stands_for_itself) and links_of(flow, number)
    if links and (stands_for_itself or has_begun(flow, links)) then
      if links.policy == 'skip' then state = SKIPPED elseif links.policy == 'continue' then state = TOLERATED end
      fire(flow, links.hooks, source.cause)
    end
    node.cause, node.through_group = source.cause, through_group
    set(flow, number, node, state)
    flow.ended[#flow.ended + 1] = number
  end

  local function pass_on(flow, source, pending)
    local from, links = standing(flow, source), links_of(flow, source)
    local done, dependents = DONE[from.state], links.dependents
    if #dependents > 8 then read(flow, dependents) end
    for i = 1, #dependents do
      local number = dependents[i]
      local node = standing(flow, number)
      if node.state == WAITING then
        if done then
          node.waits = node.waits - 1
          flow.changed[number] = node
          if node.waits == 0 and begin_alone(flow, number, node) then pending[#pending + 1] = number end
        else
          break_off(flow, number, node, from, from.through_group or links.is_join and has_begun(flow, links))
          pending[#pending + 1] = number
        end
      end
    end
  end

  local function pass_all_on(flow, number)
    local pending, at = {number}, 1
    while pending[at] do  -- grows; breadth first, so that groups begin in their order
      local source = pending[at]
      if source == flow.output then flow.outcome = OUTCOMES[standing(flow, source).state] end
      pass_on(flow, source, pending)
      at = at + 1
    end
  end

  begin_one = function(flow, number, node)
    if begin_alone(flow, number, node) then pass_all_on(flow, number) end
  end

  local function begin(flow, numbers)
    for i = 1, #numbers do
      local node = standing(flow, numbers[i])
      if node.state == WAITING and node.waits == 0 then begin_one(flow, numbers[i], node) end
    end
  end

  local function conclude(flow, number, node, state)
    flow.active = flow.active - 1
    if state ~= SUCCESS then
      local links = links_of(flow, number)
      node.cause, node.through_group = number, false
      if links.policy == 'skip' then state = SKIPPED elseif links.policy == 'continue' then state = TOLERATED end
      if state ~= REVOKED then fire(flow, links.hooks, number) end
    end
    set(flow, number, node, state)
    pass_all_on(flow, number)
  end

  local function group_of(flow, number)
    local seen = {}
    while not seen[number] do
      seen[number] = true
      number = links_of(flow, number).dependents[1] or number
      if links_of(flow, number).is_join then return number end
    end
    return nil
  end

  local function revoke(flow, numbers)
    -- returns the ids of those that were ready or sent
    local sent = {}
    read(flow, numbers)
    for i = 1, #numbers do
      local number = numbers[i]
      local node = flow.nodes[number]
      if node and node.state <= SENT then
        if node.state ~= WAITING then
          flow.active = flow.active - 1
          sent[#sent + 1] = links_of(flow, number).id
        end
        set(flow, number, node, REVOKED)
        node.cause = number
        flow.ended[#flow.ended + 1] = number
        if number == flow.output then flow.outcome = 'REVOKED' end
      end
    end
    return sent
  end

  -- events ------------------------------------------------------------------------------------------------

  local function place(flow, at, further)
    -- ARGV[at]: output, count, then for each node: waits, what was compiled, needs of a join. Returns output and the end.
    local base, count, numbers = flow.size, tonumber(ARGV[at + 1]), {}
    for i = 0, count - 1 do
      local word, number = at + 2 + 3 * i, base + i
      flow.blobs[number] = pack('>I4I4', base, i == tonumber(ARGV[at]) and further and further + 1 or 0)
        .. string.sub(ARGV[word + 1], 9)
      local needs = ARGV[word + 2]
      if needs ~= '' then
        local moved = {}
        for from = 1, #needs - 1, 4 do moved[#moved + 1] = pack('>I4', struct.unpack('>I4', needs, from) + base) end
        flow.fields['j' .. format('%d', number)] = table.concat(moved)
      end
      local node = {
        state = WAITING, was = WAITING, through_group = false, waits = tonumber(ARGV[word]), run = 0, cause = -1,
        alias = -1, since = now_s}
      flow.nodes[number], flow.changed[number] = node, node
      numbers[#numbers + 1] = number
    end
    flow.size = base + count
    for i = 1, #numbers do
      local blob = flow.blobs[numbers[i]]
      flow.nodes[numbers[i]].is_virtual = #blob == 12 + select(3, struct.unpack('>I4I4I4', blob))
    end
    return base + tonumber(ARGV[at]), at + 2 + 3 * count, numbers
  end

  local function take(at)
    -- ARGV[at]: workflow, node, run, state, outcome, failure, number of graphs; for each graph: a (added) or r (runs in its
    -- place), and what `place` takes; false: it is no news
    local flow, number = flow_of(ARGV[at]), tonumber(ARGV[at + 1])
    if not flow or number >= flow.size or number < 0 then return true end
    local node = standing(flow, number)
    if node.run ~= tonumber(ARGV[at + 2]) or (node.state ~= READY and node.state ~= SENT) or node.alias >= 0 then
      return false
    end
    flow.is_changed = true
    local next_at = at + 7
    for _ = 1, tonumber(ARGV[at + 6]) do
      local kind, output, numbers = ARGV[next_at], nil, nil
      if kind == 'r' then
        output, next_at, numbers = place(flow, next_at + 1, number)
        flow.active = flow.active - 1
        set(flow, number, node, WAITING)
        node.waits, node.alias = 1, output
        begin(flow, numbers)
        return true
      end
      local join = group_of(flow, number)
      output, next_at, numbers = place(flow, next_at + 1, join)
      if join then
        local field = 'j' .. format('%d', join)
        flow.fields[field] = (flow.fields[field] or call('HGET', flow.c, field) or '') .. pack('>I4', output)
        local waiting = standing(flow, join)
        if waiting.state == WAITING then
          waiting.waits = waiting.waits + 1
          flow.changed[join] = waiting
        end
      end
      begin(flow, numbers)  -- last: what runs nothing ends with that
    end
    local text = format('%d', number)
    call('HSET', flow.s, 'v' .. text, ARGV[at + 4])
    if ARGV[at + 5] ~= '' then call('HSET', flow.s, 'f' .. text, ARGV[at + 5]) end
    conclude(flow, number, node, tonumber(ARGV[at + 3]))
    return true
  end

  -- messages and records: MessagePack, byte for byte as `faena.model` encodes it --------------------------

  local str = cmsgpack.pack

  local function bin(text)
    if #text < 256 then return '\196' .. string.char(#text) .. text end
    if #text < 65536 then return '\197' .. pack('>I2', #text) .. text end
    return '\198' .. pack('>I4', #text) .. text
  end

  local function float(number) return number and '\203' .. pack('>d', number) or '\192' end

  local function message_of(flow, number, node, links)
    -- returns the message, and its row for `push`
    local rank, name, head, middle, sent_at, due, expires, at =
      struct.unpack('>BI2I4I4ddd', links.blob, links.message_at)
    local queue = string.sub(links.blob, at, at + name - 1)
    at = at + name
    if due < 0 then due = nil end
    if expires < 0 then expires = nil end
    if node.run > 0 and expires then expires = now_s + expires - sent_at end
    local timing = links.timing
    if timing and timing[1] then due = now_s + timing[1] end
    if timing and timing[2] then expires = now_s + timing[2] end
    local body = table.concat({
      '\220\0\21', str(links.id), string.sub(links.blob, at, at + head - 1), float(now_s), float(due), float(expires),
      string.sub(links.blob, at + head, at + head + middle - 1), '\149', str(flow.id), str(number), str(node.run),
      string.sub(links.blob, at + head + middle)})
    published = published + 1
    local value = pack('>I4', published % 16777216):sub(2) .. string.char(rank) .. pack('>I2', #queue) .. queue .. body
    local due_ms = due and due > now_s and format('%.3f', (due - now_s) * 1000) or ''
    return body, {queue, rank, due_ms, links.id, value}
  end

  local function quoted(text)
    local mark = string.find(text, "'", 1, true) and not string.find(text, '"', 1, true) and '"' or "'"
    return mark .. text .. mark
  end

  local function failure(kind, message, traceback)
    local arguments = '[' .. string.gsub(cjson.encode(message), '\\/', '/') .. ']'
    return '\149' .. str('faena.errors') .. str(kind) .. str(message) .. bin(arguments) .. traceback
  end

  local function failure_of(flow, number, through_group)
    -- of a node that suffers from that of `number`: content and failure
    local id, content, text, raw, traceback = '', 'json', nil, nil, '\160'
    if number >= 0 then
      id = links_of(flow, number).id
      local kept = call('HGET', flow.s, 'f' .. format('%d', number))
      if kept then
        local first, second, last, at = struct.unpack('>I2I4I4', kept)
        content, text = string.sub(kept, at, at + first - 1), string.sub(kept, at + first, at + first + second - 1)
        raw, traceback = string.sub(kept, at + first + second), string.sub(kept, -last)
      end
    end
    if not raw then
      local message = 'task ' .. id .. ' was revoked'
      raw, text = failure('TaskRevokedError', message, '\160'), 'TaskRevokedError(' .. quoted(message) .. ')'
    end
    if not through_group then return content, raw end
    local message = 'task ' .. id .. ' of the group before it failed: ' .. text
    return 'json', failure('ChordError', message, traceback)
  end

  local function note_ended(flow, number)
    local node, links, field = flow.nodes[number], links_of(flow, number), 'v' .. format('%d', number)
    local kept = call('HGET', flow.s, field)
    local content = kept and select(2, cmsgpack.unpack_one(kept, 1)) or ''  -- not all of it: it knows no type for bytes
    call('HSET', flow.s, field, '\148' .. str(content) .. '\192\192' .. float(now_s))
    if links.id == '' then return end
    local state, value, why = 'FAILURE', '\192', '\192'
    if node.state == SUCCESS then
      state, value, content = 'SUCCESS', bin(format('%d', number) .. ' ' .. flow.id), 'faena/node'
    elseif node.state == REVOKED then
      state, content = 'REVOKED', 'json'
      why = failure('TaskRevokedError', 'task ' .. links.id .. ' was revoked', '\160')
    else
      content, why = failure_of(flow, node.cause, node.through_group)
    end
    local keep_ms = flow.keep_ms ~= 0 and flow.keep_ms or nil
    record(links.id, table.concat({
      'T\159', str(links.id), str(links.name), str(state), value, str(content), why, '\0\192', float(now_s), '\160',
      str(flow.root), '\192\144\160', float(keep_ms and now_s + keep_ms / 1000)}),
      keep_ms and format('%.0f', keep_ms) or '')
  end

  -- writing -----------------------------------------------------------------------------------------------

  local function stand_ready(key, id, numbers)
    local words = {}
    for i = 1, #numbers do
      words[#words + 1] = now_text
      words[#words + 1] = format('%08d', numbers[i])  -- those of one moment stand by their text
    end
    for from = 1, #words, 1000 do call('ZADD', key, unpack(words, from, math.min(#words, from + 999))) end
    call('PEXPIRE', key, YEAR_MS)
    call('ZADD', P .. 'wfu', 'NX', now_text, id)
    lives(P .. 'wfu', YEAR_MS)
  end

  local function no_more_ready(flow, numbers)
    if #numbers == 0 then return end
    for i = 1, #numbers do numbers[i] = format('%08d', numbers[i]) end
    for from = 1, #numbers, 1000 do call('ZREM', flow.u, unpack(numbers, from, math.min(#numbers, from + 999))) end
    if call('EXISTS', flow.u) == 0 then call('ZREM', P .. 'wfu', flow.id) end
  end

  local function let_live(id, active, keep_ms, until_ms)
    -- returns when all of it goes, and when it is over for people; nil: never
    local key, left, over = P .. 'wf:' .. id, YEAR_MS, nil
    if active == 0 then
      left = keep_ms and math.max(0, keep_ms) + REST_MS
      over = keep_ms and now_ms + keep_ms
    elseif until_ms and until_ms ~= math.huge and until_ms > now_ms + YEAR_MS - DAY_MS
      and until_ms <= now_ms + YEAR_MS then
      return until_ms, nil
    end
    for _, each in ipairs({key, P .. 'ws:' .. id, P .. 'wc:' .. id}) do
      if left then call('PEXPIRE', each, format('%.0f', left)) else call('PERSIST', each) end
    end
    if left then
      call('ZADD', P .. 'wfx', format('%.3f', over or now_ms + left), id)
    else
      call('ZREM', P .. 'wfx', id)
    end
    lives(P .. 'wfx', left or YEAR_MS)
    lives(P .. 'wfs', left)
    return left and now_ms + left or nil, over
  end

  local function write(flow)
    local standings, gone, ready = {}, {}, {}
    local fields = {}
    for number, blob in pairs(flow.blobs) do
      fields[#fields + 1] = number
      fields[#fields + 1] = blob
    end
    for field, needs in pairs(flow.fields) do
      fields[#fields + 1] = field
      fields[#fields + 1] = needs
    end
    for from = 1, #fields, 1000 do call('HSET', flow.c, unpack(fields, from, math.min(#fields, from + 999))) end
    table.sort(flow.ready)
    for _, number in ipairs(flow.ready) do
      local node = flow.nodes[number]
      if node.state ~= READY then
        -- it has ended in this very step
      elseif rows then
        local _, row = message_of(flow, number, node, links_of(flow, number))
        rows[#rows + 1] = row
        node.state = SENT
      elseif node.was ~= READY then
        ready[#ready + 1] = number
      end
    end
    for number, node in pairs(flow.changed) do
      if node.was == READY and node.state ~= READY then gone[#gone + 1] = number end
      standings[#standings + 1] = number
      standings[#standings + 1] = pack(STANDING, node.state, (node.through_group and 1 or 0) + (node.is_virtual and 2 or 0),
        node.waits, node.run, node.cause, node.alias, now_s)
    end
    for from = 1, #standings, 1000 do
      call('HSET', flow.s, unpack(standings, from, math.min(#standings, from + 999)))
    end
    if #ready > 0 then stand_ready(flow.u, flow.id, ready) end
    flow.fresh = ready
    no_more_ready(flow, gone)
    for i = 1, #flow.ended do note_ended(flow, flow.ended[i]) end
    local until_ms, over = let_live(flow.id, flow.active, flow.keep_ms, flow.until_ms)
    local words = {
      'size', flow.size, 'active', flow.active, 'turn', flow.turn + 1, 'until', until_ms and format('%.0f', until_ms) or '',
      'expires', over and format('%.6f', over / 1000) or ''}
    local state = flow.outcome or flow.again
    if state then
      words[#words + 1], words[#words + 2] = 'state', state
      words[#words + 1], words[#words + 2] = 'finished', state ~= 'RUNNING' and format('%.6f', now_s) or ''
    end
    call('HSET', flow.key, unpack(words))
    if state then
      local order = call('ZSCORE', P .. 'wfs', flow.id) or now_text
      call('ZREM', P .. 'wfs:' .. flow.state, flow.id)
      call('ZADD', P .. 'wfs:' .. state, order, flow.id)
      flow.state = state
    end
    lives(P .. 'wfs:' .. flow.state, until_ms and until_ms - now_ms)
  end

  local function flush()
    for i = 1, #in_order do
      if next(in_order[i].changed) or in_order[i].is_changed then write(in_order[i]) end
    end
    flows, in_order = {}, {}
  end

  local function start(at)
    -- ARGV[at]: id, body, output, milliseconds it is kept, root, state, active, size, token of what was built before, number of
    -- records; three words each (see `record`); then, unless it was built before, standing, compiled, needs, outcome for each
    -- node
    local id, token, count = ARGV[at], ARGV[at + 8], tonumber(ARGV[at + 9])
    local key, state, active = P .. 'wf:' .. id, ARGV[at + 5], tonumber(ARGV[at + 6])
    local keep_ms = tonumber(ARGV[at + 3])
    flows[id] = nil
    if call('EXISTS', key) == 1 then return false end
    if token ~= '' and call('EXISTS', P .. 'wb:' .. token .. ':s') == 0 then error('what was built of the workflow is gone') end
    local last = call('ZRANGE', P .. 'wfs', -1, -1, 'WITHSCORES')[2]
    local order = format('%.0f', math.max(now_ms * 1000, last and last + 1 or 0))
    call('HSET', key, 'body', ARGV[at + 1], 'output', ARGV[at + 2], 'keep_ms', ARGV[at + 3], 'root', ARGV[at + 4],
      'state', state, 'active', ARGV[at + 6], 'size', ARGV[at + 7], 'turn', 0,
      'finished', state ~= 'RUNNING' and format('%.6f', now_s) or '')
    local flow = {id = id, u = P .. 'wu:' .. id, links = {}, blobs = {}}
    for word = at + 10, at + 9 + 3 * count, 3 do record(ARGV[word], ARGV[word + 1], ARGV[word + 2]) end
    if token ~= '' then
      call('RENAME', P .. 'wb:' .. token .. ':s', P .. 'ws:' .. id)
      call('RENAME', P .. 'wb:' .. token .. ':c', P .. 'wc:' .. id)
      if call('EXISTS', P .. 'wb:' .. token .. ':u') == 1 then
        call('RENAME', P .. 'wb:' .. token .. ':u', flow.u)
        stand_ready(flow.u, id, {})
      end
    else
      local standings, compiled, ready = {}, {}, {}
      local first = at + 10 + 3 * count
      for number = 0, tonumber(ARGV[at + 7]) - 1 do
        local word = first + 4 * number
        local text, blob = ARGV[word], ARGV[word + 1]
        if string.byte(text) == READY then
          if rows then
            local _, row = message_of(flow, number, {run = 0}, keep_links(flow, number, blob))
            rows[#rows + 1] = row
            text = '\2' .. string.sub(text, 2)
          else
            ready[#ready + 1] = number
          end
        end
        standings[#standings + 1], standings[#standings + 2] = number, text
        compiled[#compiled + 1], compiled[#compiled + 2] = number, blob
        if ARGV[word + 2] ~= '' then
          compiled[#compiled + 1], compiled[#compiled + 2] = 'j' .. format('%d', number), ARGV[word + 2]
        end
        if ARGV[word + 3] ~= '' then
          standings[#standings + 1], standings[#standings + 2] = 'v' .. format('%d', number), ARGV[word + 3]
        end
      end
      for from = 1, #standings, 1000 do
        call('HSET', P .. 'ws:' .. id, unpack(standings, from, math.min(#standings, from + 999)))
      end
      for from = 1, #compiled, 1000 do
        call('HSET', P .. 'wc:' .. id, unpack(compiled, from, math.min(#compiled, from + 999)))
      end
      if #ready > 0 then stand_ready(flow.u, id, ready) end
    end
    call('ZADD', P .. 'wfs', order, id)
    call('ZADD', P .. 'wfs:' .. state, order, id)
    local until_ms, over = let_live(id, active, keep_ms, nil)
    lives(P .. 'wfs:' .. state, until_ms and until_ms - now_ms)
    call('HSET', key, 'until', until_ms and format('%.0f', until_ms) or '', 'expires', over and format('%.6f', over / 1000) or '')
    return true
  end

  return {
    flow_of = flow_of, standing = standing, links_of = links_of, read = read, begin = begin, revoke = revoke, take = take,
    keep_standing = keep_standing, message_of = message_of, set = set, flush = flush, start = start}
end
