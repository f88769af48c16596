-- name: number
SELECT number FROM queues WHERE name = ?

-- name: add
INSERT INTO queues (name) VALUES (?)

-- name: name
SELECT name FROM queues WHERE number = ?

-- name: declare
INSERT INTO queues (name, declared) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET declared = 1 WHERE declared = 0

-- name: set_paused
INSERT INTO queues (name, declared, paused) VALUES (?, 1, ?)
ON CONFLICT (name) DO UPDATE SET declared = 1, paused = excluded.paused

-- name: paused
SELECT name FROM queues WHERE paused = 1

-- name: all
SELECT number, name, declared, paused FROM queues

-- name: numbers_of
SELECT count(*), count(claim), total(due > ?3), min(CASE WHEN due <= ?3 THEN due END)
FROM messages WHERE seq BETWEEN ?1 AND ?2

-- name: dead
SELECT queue, count(*) FROM dead GROUP BY queue

-- name: first_ready
SELECT body FROM messages WHERE seq BETWEEN ? AND ? AND claim IS NULL ORDER BY seq LIMIT 1

-- name: browse
SELECT later, body FROM (
    SELECT 0 AS later, rank, seq, body FROM messages WHERE seq BETWEEN ?1 AND ?2 AND claim IS NULL
    UNION ALL
    SELECT 1, coalesce(lined_up.rank, 9), messages.seq, body FROM messages
    LEFT JOIN lined_up ON lined_up.seq = messages.seq
    WHERE messages.seq BETWEEN ?7 AND ?8 AND claim IS NULL
    UNION ALL
    SELECT CASE WHEN due > ?4 THEN 2 ELSE rank = 14 END, CASE WHEN due > ?4 THEN due ELSE rank END, seq, body
    FROM messages WHERE queue = ?3 AND due IS NOT NULL
) ORDER BY later, rank, seq LIMIT ?5 OFFSET ?6

-- name: purge
DELETE FROM messages WHERE seq BETWEEN ? AND ? AND claim IS NULL
