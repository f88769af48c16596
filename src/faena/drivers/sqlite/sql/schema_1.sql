-- The order of a queue is (rank, seq); a row keeps its seq for as long as the message is in the broker.
-- `claim` is the fencing token: the holder and the number of one receive (see claims.py), NULL while nobody holds it.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    rank INTEGER NOT NULL,
    due REAL,
    claim INTEGER,
    deliveries INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    redelivered REAL,
    verdict BLOB,
    body BLOB NOT NULL
);
-- A held row has no `due`: every row is in exactly one of these three.
CREATE INDEX messages_ready ON messages (queue, rank, seq) WHERE claim IS NULL AND due IS NULL;
CREATE INDEX messages_delayed ON messages (queue, due) WHERE due IS NOT NULL;
CREATE INDEX messages_held ON messages (claim) WHERE claim IS NOT NULL;

CREATE TABLE holders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    expires_at REAL NOT NULL
);

CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX queues_paused ON queues (name) WHERE paused = 1;

CREATE TABLE dead (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT,
    queue TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    buried_at REAL NOT NULL,
    deliveries INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX dead_queue ON dead (queue, key);
CREATE INDEX dead_id ON dead (id) WHERE id IS NOT NULL;

-- A changed record takes the next seq: the latest are the last, and a seq that grew tells of a change.
CREATE TABLE results (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    expires_at REAL,
    record BLOB NOT NULL
);
CREATE INDEX results_expiry ON results (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE waiters (
    ticket INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    fifo TEXT NOT NULL,
    UNIQUE (task_id, fifo)
);
CREATE INDEX waiters_fifo ON waiters (fifo);

CREATE TABLE commands (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    expires_at REAL NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE replies (
    command_id TEXT NOT NULL,
    worker TEXT NOT NULL,
    expires_at REAL NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (command_id, worker)
) WITHOUT ROWID;

CREATE TABLE workers (
    name TEXT PRIMARY KEY,
    expires_at REAL NOT NULL,
    seen INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE revocations (
    mark INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    expires_at REAL,
    body BLOB NOT NULL
);
