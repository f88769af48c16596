-- name: present
SELECT task_id, until, since, taken, published, expires_at,
    (SELECT CASE WHEN claim IS NULL THEN 0 ELSE 1 END FROM messages WHERE id = task_id),
    EXISTS (SELECT 1 FROM parked WHERE parked.task_id = unique_keys.task_id)
FROM unique_keys WHERE key = ?

-- name: keep
INSERT INTO unique_keys (key, task_id, until, since, taken, published, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET task_id = excluded.task_id, until = excluded.until, since = excluded.since,
    taken = excluded.taken, published = excluded.published, expires_at = excluded.expires_at

-- name: published
UPDATE unique_keys SET published = 1 WHERE key = ? AND task_id = ?

-- name: release
DELETE FROM unique_keys WHERE key = ? AND task_id = ?

-- name: expire
DELETE FROM unique_keys WHERE key IN (
    SELECT key FROM unique_keys WHERE expires_at <= ? AND (until = 'window' OR NOT (
        EXISTS (SELECT 1 FROM messages WHERE messages.id = unique_keys.task_id)
        OR EXISTS (SELECT 1 FROM parked WHERE parked.task_id = unique_keys.task_id))) LIMIT ?)
