-- name: add
INSERT INTO workflows (id, state, size, active, body) VALUES (?, 'RUNNING', ?, 0, ?) ON CONFLICT (id) DO NOTHING

-- name: find
SELECT number, size, active, state, body FROM workflows WHERE id = ?

-- name: move
UPDATE workflows SET state = coalesce(?1, state), size = ?2, active = active + ?3,
    finished_at = CASE WHEN ?1 IS NULL THEN finished_at WHEN ?1 = 'RUNNING' THEN NULL ELSE ?4 END,
    expires_at = CASE WHEN active + ?3 > 0 THEN NULL ELSE ?5 END
WHERE number = ?6

-- name: statuses
SELECT body, state, size, active, finished_at, expires_at FROM workflows WHERE id IN (SELECT value FROM json_each(?))

-- name: latest
SELECT body, state, size, active, finished_at, expires_at FROM workflows WHERE ?1 IS NULL OR state = ?1
ORDER BY number DESC LIMIT ?2 OFFSET ?3

-- name: add_node
INSERT INTO nodes (key, state, waits, cause, alias, since, finished_at, links, made, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_join
INSERT INTO joins (key, needs) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET needs = excluded.needs

-- name: standings
SELECT key, state, waits, run, cause, through_group, alias, links FROM nodes WHERE key IN (SELECT value FROM json_each(?))

-- name: move_node
UPDATE nodes SET state = ?, waits = ?, run = ?, cause = ?, through_group = ?, alias = ?, since = ? WHERE key = ?

-- name: keep
UPDATE nodes SET value = ?, content = ?, failure = ?, started_at = ?, finished_at = ? WHERE key = ?

-- name: finish
UPDATE nodes SET finished_at = ? WHERE key = ?

-- name: begin_anew
UPDATE nodes SET value = NULL, failure = NULL, started_at = NULL, finished_at = NULL WHERE key = ?

-- name: messages
SELECT key, message FROM nodes WHERE key IN (SELECT value FROM json_each(?))

-- name: made
SELECT key, made, failure, content FROM nodes WHERE key IN (SELECT value FROM json_each(?))

-- name: relink
UPDATE nodes SET links = ? WHERE key = ?

-- name: needs
SELECT needs FROM joins WHERE key = ?

-- name: published
UPDATE nodes SET state = 2, since = ? WHERE key = ? AND state = 1 AND run = ?

-- name: unpublished
SELECT key, message, run, links FROM nodes WHERE state = 1 AND since < ? ORDER BY since LIMIT ?

-- name: unpublished_of
SELECT key, message, run, links FROM nodes INDEXED BY nodes_unpublished WHERE state = 1 AND key BETWEEN ? AND ?

-- name: unended
SELECT key FROM nodes WHERE key BETWEEN ? AND ? AND state < 3

-- name: view
SELECT n.key, n.state, n.waits, n.run, n.cause, n.through_group, n.alias, n.since, n.started_at, n.finished_at, n.links,
    n.made, n.value, n.content, n.failure, j.needs
FROM nodes n LEFT JOIN joins j ON j.key = n.key WHERE n.key BETWEEN ? AND ?

-- name: view_some
SELECT n.key, n.state, n.waits, n.run, n.cause, n.through_group, n.alias, n.since, n.started_at, n.finished_at, n.links,
    n.made, n.value, n.content, n.failure, j.needs
FROM nodes n LEFT JOIN joins j ON j.key = n.key WHERE n.key IN (SELECT value FROM json_each(?))

-- name: states
SELECT key, state, message IS NULL FROM nodes WHERE key BETWEEN ? AND ? ORDER BY key

-- name: returned
SELECT key, value, content FROM nodes
WHERE key BETWEEN ? AND ? AND state = 3 AND alias IS NULL AND message IS NOT NULL

-- name: returned_some
SELECT key, value, content FROM nodes
WHERE key IN (SELECT value FROM json_each(?)) AND state = 3 AND alias IS NULL AND message IS NOT NULL

-- name: wants
SELECT 1 FROM workflows w JOIN nodes n ON n.key = (w.number << 24 | ?2) WHERE w.id = ?1 AND n.run = ?3 AND n.state IN (1, 2)

-- name: at_rest
SELECT number FROM workflows WHERE active = 0 AND id IN (SELECT value FROM json_each(?))

-- name: expired
SELECT number FROM workflows WHERE expires_at <= ? AND active = 0 LIMIT ?

-- name: forget
DELETE FROM workflows WHERE number = ?

-- name: forget_nodes
DELETE FROM nodes WHERE key BETWEEN ? AND ?

-- name: forget_joins
DELETE FROM joins WHERE key BETWEEN ? AND ?

-- name: lead
INSERT INTO leaders (role, owner, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT (role) DO UPDATE
SET owner = excluded.owner, expires_at = excluded.expires_at WHERE leaders.owner = ?2 OR leaders.expires_at <= ?4
