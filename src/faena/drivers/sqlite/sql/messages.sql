-- name: insert
INSERT INTO messages (seq, queue, rank, due, id, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING

-- name: insert_last
INSERT INTO messages (seq, queue, rank, due, id, body)
VALUES ((SELECT coalesce(max(seq), ?1) + 1 FROM messages WHERE seq BETWEEN ?1 AND ?2), ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (id) DO NOTHING

-- name: last
SELECT coalesce(max(seq), ?1) FROM messages WHERE seq BETWEEN ?1 AND ?2

-- name: ripe
SELECT seq, rank FROM messages WHERE queue = ? AND due IS NOT NULL AND due <= ? ORDER BY due LIMIT 1000

-- name: ripen
UPDATE messages SET seq = ?, due = NULL WHERE seq = ?

-- name: claim
UPDATE messages SET claim = ?, deliveries = deliveries + 1 WHERE seq IN (
    SELECT seq FROM messages WHERE seq BETWEEN ? AND ? AND claim IS NULL ORDER BY seq LIMIT ?
) RETURNING seq, body, deliveries, crashes, redelivered, verdict

-- name: note_claim
INSERT INTO claims (claim, seqs) VALUES (?, ?)

-- name: end_claim
DELETE FROM claims WHERE claim = ?

-- name: has_ready
SELECT 1 FROM messages WHERE seq BETWEEN ? AND ? AND claim IS NULL LIMIT 1

-- name: next_due
SELECT min(due) FROM messages WHERE queue = ? AND due IS NOT NULL

-- name: ack
DELETE FROM messages WHERE seq = ? AND claim = ?

-- name: release
UPDATE messages SET claim = NULL WHERE seq = ? AND claim = ? RETURNING queue

-- name: begin
UPDATE messages SET verdict = ? WHERE seq = ? AND claim = ?

-- name: held
SELECT queue, rank FROM messages WHERE seq = ? AND claim = ?

-- name: replace
UPDATE messages SET seq = ?, claim = NULL, verdict = NULL, redelivered = NULL, queue = ?, rank = ?, due = ?, body = ?
WHERE seq = ?

-- name: take_out
DELETE FROM messages WHERE seq = ? AND claim = ? RETURNING id, queue, deliveries, crashes, body

-- name: bury
INSERT INTO dead (id, queue, reason, detail, buried_at, deliveries, crashes, body)
VALUES (?, (SELECT name FROM queues WHERE number = ?), ?, ?, ?, ?, ?, ?)

-- name: cancel
DELETE FROM messages WHERE claim IS NULL AND id IN (SELECT value FROM json_each(?)) RETURNING seq, body

-- name: locate
SELECT id, claim IS NOT NULL, due, rank FROM messages WHERE id IN (SELECT value FROM json_each(?))

-- name: locate_dead
SELECT id FROM dead WHERE id IN (SELECT value FROM json_each(?))

-- name: find
SELECT seq, claim, queue, deliveries, crashes, body FROM messages WHERE id = ?

-- name: count_before
SELECT count(*) FROM (SELECT 1 FROM messages WHERE seq BETWEEN ? AND ? AND claim IS NULL LIMIT 100000)
