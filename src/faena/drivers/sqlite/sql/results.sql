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

-- name: expire
DELETE FROM results WHERE seq IN (
    SELECT seq FROM results WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?
)

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
