-- name: insert
INSERT INTO messages (id, queue, rank, due, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING

-- name: ripen
UPDATE messages SET due = NULL WHERE seq IN (
    SELECT seq FROM messages WHERE queue = ? AND due IS NOT NULL AND due <= ? ORDER BY due LIMIT 1000
)

-- name: claim
UPDATE messages SET claim = ?, deliveries = deliveries + 1 WHERE seq IN (
    SELECT seq FROM messages WHERE queue = ? AND claim IS NULL AND due IS NULL ORDER BY rank, seq LIMIT ?
) RETURNING rank, seq, body, deliveries, crashes, redelivered, verdict

-- name: has_ready
SELECT 1 FROM messages WHERE queue = ? AND claim IS NULL AND due IS NULL LIMIT 1

-- name: next_due
SELECT min(due) FROM messages WHERE queue = ? AND due IS NOT NULL

-- name: ack
DELETE FROM messages WHERE seq = ? AND claim = ?

-- name: release
UPDATE messages SET claim = NULL WHERE seq = ? AND claim = ? RETURNING queue

-- name: replace
UPDATE messages SET claim = NULL, verdict = NULL, redelivered = NULL, queue = ?, rank = ?, due = ?, body = ?
WHERE seq = ? AND claim = ?

-- name: take_out
DELETE FROM messages WHERE seq = ? AND claim = ? RETURNING id, queue, deliveries, crashes, body

-- name: bury
INSERT INTO dead (id, queue, reason, detail, buried_at, deliveries, crashes, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: cancel
DELETE FROM messages WHERE claim IS NULL AND id IN (SELECT value FROM json_each(?)) RETURNING body

-- name: locate
SELECT id, claim IS NOT NULL, due FROM messages WHERE id IN (SELECT value FROM json_each(?))

-- name: locate_dead
SELECT id FROM dead WHERE id IN (SELECT value FROM json_each(?))
