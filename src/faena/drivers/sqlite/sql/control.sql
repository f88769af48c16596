-- name: send
INSERT INTO commands (expires_at, body) VALUES (?, ?)

-- name: seen
SELECT seen FROM workers WHERE name = ?

-- name: commands_after
SELECT seq, body FROM commands WHERE seq > ? AND expires_at > ? ORDER BY seq

-- name: see
UPDATE workers SET seen = ? WHERE name = ?

-- name: reply
INSERT INTO replies (command_id, worker, expires_at, body) VALUES (?, ?, ?, ?)
ON CONFLICT (command_id, worker) DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body

-- name: replies
SELECT body FROM replies WHERE command_id = ? AND expires_at > ? ORDER BY worker

-- name: announce
INSERT INTO workers (name, expires_at, seen, body)
VALUES (?, ?, (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'commands'), 0)), ?)
ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body

-- name: withdraw
DELETE FROM workers WHERE name = ?

-- name: worker
SELECT body FROM workers WHERE name = ? AND expires_at > ?;

-- name: workers
SELECT body FROM workers WHERE expires_at > ? ORDER BY name

-- name: worker_names
SELECT name FROM workers

-- name: revoke
INSERT OR REPLACE INTO revocations (task_id, expires_at, body) VALUES (?, ?, ?)

-- name: unrevoke
DELETE FROM revocations WHERE task_id IN (SELECT value FROM json_each(?))

-- name: is_revoked
SELECT 1 FROM revocations WHERE task_id = ? AND (expires_at IS NULL OR expires_at > ?)

-- name: revoked_since
SELECT mark, body FROM revocations WHERE mark > ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY mark

-- name: give
INSERT OR REPLACE INTO orders (kind, name, expires_at, body) VALUES (?, ?, ?, ?)

-- name: withdraw_order
DELETE FROM orders WHERE kind = ? AND name IN (SELECT value FROM json_each(?))

-- name: standing
SELECT body FROM orders WHERE expires_at IS NULL OR expires_at > ? ORDER BY kind, name

-- name: expire_commands
DELETE FROM commands WHERE seq IN (SELECT seq FROM commands WHERE expires_at <= ? LIMIT ?)

-- name: expire_replies
DELETE FROM replies WHERE (command_id, worker) IN (
    SELECT command_id, worker FROM replies WHERE expires_at <= ? LIMIT ?
)

-- name: expire_workers
DELETE FROM workers WHERE name IN (SELECT name FROM workers WHERE expires_at <= ? LIMIT ?)

-- name: expire_revocations
DELETE FROM revocations WHERE mark IN (
    SELECT mark FROM revocations WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT ?
)

-- name: expire_orders
DELETE FROM orders WHERE (kind, name) IN (SELECT kind, name FROM orders WHERE expires_at <= ? LIMIT ?)
