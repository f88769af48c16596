-- name: read
SELECT body FROM journal WHERE task_id = ?

-- name: write
INSERT INTO journal (task_id, name, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: find
SELECT body FROM journal WHERE task_id = ? AND name = ?

-- name: keep_until
INSERT INTO journals (task_id, expires_at) VALUES (?, ?)
ON CONFLICT (task_id) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)

-- name: event
SELECT body FROM events WHERE name = ? AND expires_at > ?

-- name: happen
INSERT INTO events (name, expires_at, body) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body WHERE events.expires_at <= ?4

-- name: park
INSERT INTO parked (task_id, event, due, body) VALUES (?, ?, ?, ?)
ON CONFLICT (task_id) DO UPDATE SET event = excluded.event, due = excluded.due, woken = NULL, body = excluded.body

-- name: waiting_for
SELECT task_id, body FROM parked WHERE event = ? AND woken IS NULL

-- name: overdue
SELECT task_id, body FROM parked WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?

-- name: not_back
SELECT task_id, body FROM parked WHERE woken IS NOT NULL AND woken <= ? LIMIT ?

-- name: hand_out
UPDATE parked SET woken = ?, due = NULL WHERE task_id = ?

-- name: published
DELETE FROM parked WHERE task_id = ? AND woken IS NOT NULL

-- name: parked
SELECT task_id FROM parked WHERE task_id IN (SELECT value FROM json_each(?))

-- name: postpone
UPDATE parked SET due = ? WHERE woken IS NULL AND task_id IN (SELECT value FROM json_each(?))

-- name: unpark
DELETE FROM parked WHERE task_id = ? RETURNING body

-- name: waiting
SELECT event, due, body FROM parked
WHERE ?1 IS NULL OR task_id IN (SELECT value FROM json_each(?1)) LIMIT ?2

-- name: forget
DELETE FROM journal WHERE task_id = ?

-- name: forget_expiry
DELETE FROM journals WHERE task_id = ?

-- name: expired
SELECT task_id FROM journals WHERE expires_at <= ? AND task_id NOT IN (SELECT task_id FROM parked) LIMIT ?

-- name: keep_longer
UPDATE journals SET expires_at = max(expires_at, ?) WHERE task_id = ?

-- name: expire_events
DELETE FROM events WHERE name IN (SELECT name FROM events WHERE expires_at <= ? LIMIT ?)
