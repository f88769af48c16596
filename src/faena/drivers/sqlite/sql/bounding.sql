-- name: here
SELECT id FROM messages WHERE id IN (SELECT value FROM json_each(?))

-- name: ends
SELECT (SELECT min(seq) FROM messages WHERE seq BETWEEN ?1 AND ?2), (SELECT max(seq) FROM messages WHERE seq BETWEEN ?1 AND ?2)

-- name: due
SELECT count(*) FROM messages WHERE queue = ? AND due IS NOT NULL AND due <= ?

-- name: waiting
SELECT count(*) FROM messages WHERE seq BETWEEN ? AND ? AND claim IS NULL
