-- name: list
SELECT key, queue, reason, detail, buried_at, deliveries, crashes, body FROM dead
WHERE ?1 IS NULL ORDER BY key DESC LIMIT ?2 OFFSET ?3

-- name: list_queue
SELECT key, queue, reason, detail, buried_at, deliveries, crashes, body FROM dead
WHERE queue = ?1 ORDER BY key DESC LIMIT ?2 OFFSET ?3

-- name: find
SELECT key, queue, reason, detail, buried_at, deliveries, crashes, body FROM dead WHERE id = ? ORDER BY key DESC LIMIT 1

-- name: fitting
SELECT key, id, queue, body FROM dead
WHERE reason <> 'malformed' AND (?1 IS NULL OR queue = ?1) AND (?2 IS NULL OR reason = ?2)
    AND (?3 IS NULL OR id IN (SELECT value FROM json_each(?3))) ORDER BY key

-- name: replace
UPDATE dead SET queue = ?1, body = ?2 WHERE key = (SELECT max(key) FROM dead WHERE id = ?3)

-- name: remove
DELETE FROM dead WHERE key = ?

-- name: purge
DELETE FROM dead
WHERE (?1 IS NULL OR queue = ?1) AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))
    AND (?3 IS NULL OR buried_at < ?3)
