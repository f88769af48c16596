-- name: waiting
SELECT seq, body FROM messages WHERE seq > ? AND seq <= ? AND claim IS NULL ORDER BY seq LIMIT ?

-- name: claim_these
UPDATE messages SET claim = ?, deliveries = deliveries + 1 WHERE seq IN (SELECT value FROM json_each(?))
RETURNING seq, body, deliveries, crashes, redelivered, verdict
