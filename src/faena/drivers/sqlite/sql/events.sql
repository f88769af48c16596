-- name: fifos
SELECT fifo FROM listeners WHERE expires_at > ?

-- name: tell
INSERT INTO told (body) VALUES (?)

-- name: trim
DELETE FROM told WHERE seq <= (SELECT max(seq) FROM told) - ?

-- name: last
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'told'), 0)

-- name: after
SELECT seq, body FROM told WHERE seq > ? ORDER BY seq LIMIT ?

-- name: listen
INSERT INTO listeners (fifo, expires_at) VALUES (?, ?)

-- name: renew
UPDATE listeners SET expires_at = ? WHERE fifo = ?

-- name: leave
DELETE FROM listeners WHERE fifo = ?

-- name: leftovers
SELECT EXISTS (SELECT 1 FROM listeners WHERE expires_at <= ?)
    OR (EXISTS (SELECT 1 FROM told) AND NOT EXISTS (SELECT 1 FROM listeners))

-- name: expire
DELETE FROM listeners WHERE expires_at <= ?

-- name: clear
DELETE FROM told WHERE NOT EXISTS (SELECT 1 FROM listeners)
