-- name: get
SELECT body FROM schedules WHERE name IN (SELECT value FROM json_each(?))

-- name: every
SELECT body FROM schedules ORDER BY name

-- name: due
SELECT body FROM schedules WHERE wakes IS NOT NULL AND wakes <= ? ORDER BY wakes LIMIT ?

-- name: next_due
SELECT wakes FROM schedules WHERE wakes IS NOT NULL ORDER BY wakes LIMIT 1

-- name: add
INSERT INTO schedules (name, revision, wakes, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: replace
UPDATE schedules SET revision = ?3, wakes = ?4, body = ?5 WHERE name = ?1 AND revision = ?2

-- name: remove
DELETE FROM schedules WHERE name = ? AND revision = ?

-- name: keep
INSERT INTO ticks (task_id, since, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: unpublished
SELECT body FROM ticks WHERE since <= ? ORDER BY since LIMIT ?

-- name: published
DELETE FROM ticks WHERE task_id = ?

-- name: declare
INSERT INTO manifests (app, key, expires_at, body) VALUES (?, ?, ?, ?)
ON CONFLICT (app, key) DO UPDATE SET expires_at = excluded.expires_at

-- name: manifests
SELECT body FROM manifests WHERE app = ? AND expires_at > ?

-- name: expire
DELETE FROM manifests WHERE expires_at <= ?
