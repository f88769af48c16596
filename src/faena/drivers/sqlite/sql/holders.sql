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

-- name: held
SELECT messages.seq, messages.id, messages.queue FROM claims, json_each(claims.seqs) AS each
JOIN messages ON messages.seq = each.value AND messages.claim = claims.claim
WHERE claims.claim BETWEEN ? AND ?

-- name: judge
UPDATE messages SET crashes = crashes + ?, verdict = ? WHERE seq = ?

-- name: hand_back
UPDATE messages SET claim = NULL, redelivered = ? WHERE seq = ?

-- name: end_claims
DELETE FROM claims WHERE claim BETWEEN ? AND ?

-- name: find
SELECT owner, expires_at FROM holders WHERE id = ?
