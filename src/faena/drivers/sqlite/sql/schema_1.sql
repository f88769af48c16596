-- `seq` is the place of a message, and the table its own order: the number of its queue, its rank (9 - priority; 15 while
-- it is delayed) and a counter within those, see places.py. A held message keeps its place.
-- `claim` is the fencing token: the holder and the number of one receive, see claims.py. NULL while nobody holds it.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    claim INTEGER,
    queue INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    due REAL,
    id TEXT NOT NULL UNIQUE,
    deliveries INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    redelivered REAL,
    verdict BLOB,
    body BLOB NOT NULL
);
CREATE INDEX messages_delayed ON messages (queue, due) WHERE due IS NOT NULL;

-- What one receive took, as a list of seqs: it costs a row for a batch, where an index would cost one for each message.
-- A row may outlive its messages; a message is held under a claim only if its own row says so.
CREATE TABLE claims (
    claim INTEGER PRIMARY KEY,
    seqs TEXT NOT NULL
);

CREATE TABLE holders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    expires_at REAL NOT NULL
);

-- A number is never given to another queue.
CREATE TABLE queues (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    declared INTEGER NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0
);
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
-- Which seqs may hold results that expire in that minute (unix time / 60): a row for a batch instead of an index entry
-- for each result.
CREATE TABLE expiries (
    minute INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL
);

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
