-- name: declare
INSERT INTO queues (name) VALUES (?) ON CONFLICT (name) DO NOTHING

-- name: set_paused
INSERT INTO queues (name, paused) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused

-- name: paused
SELECT name FROM queues WHERE paused = 1

-- name: all
SELECT name, paused FROM queues

-- name: ready
SELECT queue, count(*) FROM messages WHERE claim IS NULL AND due IS NULL GROUP BY queue

-- name: delayed
SELECT queue, sum(due <= ?1), sum(due > ?1), min(due) FROM messages WHERE due IS NOT NULL GROUP BY queue

-- name: held
SELECT queue, count(*) FROM messages WHERE claim IS NOT NULL GROUP BY queue

-- name: dead
SELECT queue, count(*) FROM dead GROUP BY queue

-- name: first_of_rank
SELECT body FROM messages WHERE queue = ? AND rank = ? AND claim IS NULL AND due IS NULL ORDER BY seq LIMIT 1

-- name: browse
SELECT due, body FROM (
    SELECT 0 AS later, rank, seq, NULL AS due, body FROM messages WHERE queue = ?1 AND claim IS NULL AND due IS NULL
    UNION ALL
    SELECT due > ?2, CASE WHEN due > ?2 THEN due ELSE rank END, seq, CASE WHEN due > ?2 THEN due END, body
    FROM messages WHERE queue = ?1 AND due IS NOT NULL
) ORDER BY later, rank, seq LIMIT ?3 OFFSET ?4

-- name: purge
DELETE FROM messages WHERE queue = ? AND claim IS NULL
