-- name: open
INSERT INTO holders (owner, expires_at) VALUES (?, ?)

-- name: stands
SELECT 1 FROM holders WHERE id = ?

-- name: renew
UPDATE holders SET expires_at = ? WHERE id = ?

-- name: expired
SELECT id FROM holders WHERE expires_at <= ?

-- name: close
DELETE FROM holders WHERE id = ?

-- name: judge
UPDATE messages SET crashes = crashes + ?, verdict = ? WHERE id = ? AND claim BETWEEN ? AND ?

-- name: hand_back
UPDATE messages SET claim = NULL, redelivered = ? WHERE claim BETWEEN ? AND ? RETURNING queue
