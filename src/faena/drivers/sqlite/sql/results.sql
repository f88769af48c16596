-- name: record
INSERT INTO results (id, state, expires_at, record) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = (SELECT max(seq) + 1 FROM results), state = excluded.state,
    expires_at = excluded.expires_at, record = excluded.record
WHERE results.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED')

-- name: read
SELECT id, record FROM results WHERE id IN (SELECT value FROM json_each(?))

-- name: latest
SELECT record FROM results WHERE ?1 IS NULL OR state = ?1 ORDER BY seq DESC LIMIT ?2

-- name: forget
DELETE FROM results WHERE id IN (SELECT value FROM json_each(?))

-- name: last
SELECT coalesce(max(seq), 0) FROM results

-- name: note_expiry
INSERT INTO expiries (minute, first_seq, last_seq) VALUES (?, ?, ?) ON CONFLICT (minute) DO UPDATE
SET first_seq = min(first_seq, excluded.first_seq), last_seq = max(last_seq, excluded.last_seq)

-- name: expiries
SELECT minute, first_seq, last_seq FROM expiries WHERE minute <= ? ORDER BY minute

-- name: end_expiry
DELETE FROM expiries WHERE minute = ?

-- name: expire
DELETE FROM results WHERE seq IN (SELECT seq FROM results WHERE seq BETWEEN ? AND ? AND expires_at <= ? LIMIT ?)

-- name: any_waiter
SELECT 1 FROM waiters LIMIT 1

-- name: waiting_for
SELECT ticket, task_id, fifo FROM waiters WHERE task_id IN (SELECT value FROM json_each(?))

-- name: wait
INSERT INTO waiters (task_id, fifo) VALUES (?, ?)
ON CONFLICT (task_id, fifo) DO UPDATE SET fifo = excluded.fifo RETURNING ticket

-- name: served
DELETE FROM waiters WHERE ticket = ?

-- name: changes
SELECT id, seq, state FROM results WHERE id IN (SELECT value FROM json_each(?))

-- name: leave
DELETE FROM waiters WHERE fifo = ?

-- name: waiting_fifos
SELECT DISTINCT fifo FROM waiters

-- name: stop_waiting
DELETE FROM waiters WHERE task_id = ? AND fifo = ?
