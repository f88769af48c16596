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

CREATE TABLE leaders (
    role TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
