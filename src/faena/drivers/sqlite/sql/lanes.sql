-- name: any
SELECT EXISTS (SELECT 1 FROM messages WHERE seq BETWEEN ? AND ?) OR EXISTS (SELECT 1 FROM lanes)

-- name: has_work
SELECT EXISTS (SELECT 1 FROM messages WHERE seq BETWEEN ?1 AND ?2)
    OR EXISTS (SELECT 1 FROM lanes WHERE queue = ?3 AND parked IS NULL)

-- name: next_due
SELECT min(due) FROM rates WHERE due IS NOT NULL AND EXISTS (SELECT 1 FROM lanes)

-- name: arrived
SELECT seq, body FROM messages WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?

-- name: move
UPDATE messages SET seq = ? WHERE seq = ?

-- name: find
SELECT number, rank FROM lanes WHERE queue = ? AND name = ?

-- name: begin
INSERT INTO lanes (queue, name, rank, turn) VALUES (?, ?, ?, ?)

-- name: set_rank
UPDATE lanes SET rank = ? WHERE number = ?

-- name: line_up
INSERT INTO lined_up (lane, rank, seq, expires) VALUES (?, ?, ?, ?)

-- name: due
SELECT name FROM rates WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT 1000

-- name: not_due
UPDATE rates SET due = NULL WHERE name = ?

-- name: set_due
INSERT INTO rates (name, paid_until, due) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET due = excluded.due

-- name: paid_until
SELECT paid_until FROM rates WHERE name = ?

-- name: pay
INSERT INTO rates (name, paid_until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET paid_until = excluded.paid_until

-- name: forget_paid
DELETE FROM rates WHERE due IS NULL AND paid_until < ?

-- name: first
SELECT number, name FROM lanes WHERE queue = ? AND parked IS NULL ORDER BY rank, turn LIMIT 1

-- name: head
SELECT rank, seq, expires FROM lined_up WHERE lane = ? ORDER BY rank, seq LIMIT 1

-- name: park
UPDATE lanes SET parked = ? WHERE number = ?

-- name: go_on
UPDATE lanes SET rank = ?, turn = ? WHERE number = ?

-- name: end
DELETE FROM lanes WHERE number = ? RETURNING queue, name, parked

-- name: leave
DELETE FROM lined_up WHERE seq = ? RETURNING lane

-- name: claim
UPDATE messages SET claim = ?, deliveries = deliveries + 1 WHERE seq = ?
RETURNING seq, body, deliveries, crashes, redelivered, verdict

-- name: admit
INSERT INTO admitted (claim, seq, lane, takes) VALUES (?, ?, ?, ?)

-- name: permit
INSERT INTO permits (name, admitted) VALUES (?, ?)

-- name: in_use
SELECT count(*) FROM permits WHERE name = ?

-- name: give_back
DELETE FROM admitted WHERE claim = ? AND seq = ? RETURNING number, lane, takes

-- name: held
SELECT claim, seq FROM admitted WHERE claim BETWEEN ? AND ?

-- name: return_permit
DELETE FROM permits WHERE name = ? AND admitted = ?

-- name: refund
UPDATE rates SET paid_until = paid_until - ? WHERE name = ?

-- name: next_queue
SELECT queue FROM lanes WHERE parked = ? AND queue > ? ORDER BY queue LIMIT 1

-- name: call_next
UPDATE lanes SET parked = NULL WHERE number = (
    SELECT number FROM lanes WHERE parked = ? AND queue = ? ORDER BY rank, turn LIMIT 1
)

-- name: call_family
UPDATE lanes SET parked = NULL WHERE parked = ?1 OR (parked > ?1 || char(31) AND parked < ?1 || char(32)) RETURNING queue

-- name: pay_under
UPDATE rates SET paid_until = min(paid_until, ?2)
WHERE name = ?1 OR (name > ?1 || char(31) AND name < ?1 || char(32))

-- name: forget_due
UPDATE rates SET due = NULL WHERE due IS NOT NULL AND (name = ?1 OR (name > ?1 || char(31) AND name < ?1 || char(32)))

-- name: of_message
SELECT lined_up.lane, lanes.name, messages.body FROM messages
LEFT JOIN lined_up ON lined_up.seq = messages.seq LEFT JOIN lanes ON lanes.number = lined_up.lane
WHERE messages.id = ? AND messages.claim IS NULL AND (messages.due IS NULL OR messages.due <= ?)

-- name: body
SELECT body, queue FROM messages WHERE seq = ?

-- name: lanes_of
SELECT number FROM lanes WHERE queue = ?

-- name: purge
DELETE FROM lined_up WHERE seq BETWEEN ? AND ?

-- name: count
SELECT count(*) - count(claim) FROM messages WHERE seq BETWEEN ? AND ?

-- name: running
SELECT name, count(*) FROM permits GROUP BY name

-- name: parked
SELECT parked, count(*) FROM lanes WHERE parked IS NOT NULL GROUP BY parked

-- name: limits
SELECT family, declared, change FROM limits

-- name: terms
SELECT declared, change FROM limits WHERE family = ?

-- name: keep
INSERT INTO limits (family, declared, change) VALUES (?, ?, ?)
ON CONFLICT (family) DO UPDATE SET declared = excluded.declared, change = excluded.change

-- name: forget
DELETE FROM limits WHERE family = ?
