-- `keep` is how long a workflow is kept once it is at rest, `body` what was known when it was sent.
CREATE TABLE workflows (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    active INTEGER NOT NULL,
    finished_at REAL,
    expires_at REAL,
    body BLOB NOT NULL
);
CREATE INDEX workflows_expiring ON workflows (expires_at) WHERE expires_at IS NOT NULL;

-- `key` is the number of the workflow and that of the node, see workflows.py: the nodes of a workflow stand next to one
-- another. What changes stands before what was compiled.
CREATE TABLE nodes (
    key INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    waits INTEGER NOT NULL,
    run INTEGER NOT NULL DEFAULT 0,
    cause INTEGER,
    through_group INTEGER NOT NULL DEFAULT 0,
    alias INTEGER,
    since REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    links BLOB NOT NULL,
    made BLOB NOT NULL,
    message BLOB,
    value BLOB,
    content TEXT,
    failure BLOB
);
-- What became ready and is not with a broker yet: of a broker elsewhere, or of one that has crashed in between.
CREATE INDEX nodes_unpublished ON nodes (since) WHERE state = 1;

-- What a group consists of. Apart, because the counter of a large group changes often.
CREATE TABLE joins (
    key INTEGER PRIMARY KEY,
    needs BLOB NOT NULL
);

-- What tasks remember of their finished steps; `journals` says how long.
CREATE TABLE journal (
    task_id TEXT NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (task_id, name)
) WITHOUT ROWID;

CREATE TABLE journals (
    task_id TEXT PRIMARY KEY,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX journals_expiring ON journals (expires_at);

CREATE TABLE events (
    name TEXT PRIMARY KEY,
    expires_at REAL NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_expiring ON events (expires_at);

-- Tasks that wait for an event. `woken` is when the message was handed out, to be published by somebody else.
CREATE TABLE parked (
    task_id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    due REAL,
    woken REAL,
    body BLOB NOT NULL
);
CREATE INDEX parked_event ON parked (event) WHERE woken IS NULL;
CREATE INDEX parked_due ON parked (due) WHERE due IS NOT NULL;
CREATE INDEX parked_woken ON parked (woken) WHERE woken IS NOT NULL;

CREATE TABLE leaders (
    role TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
