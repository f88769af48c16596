-- `wakes` is when a schedule has to be looked at; NULL: not before somebody changes it.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    revision TEXT NOT NULL,
    wakes REAL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX schedules_waking ON schedules (wakes) WHERE wakes IS NOT NULL;

-- Messages of ticks for a broker elsewhere, until somebody has published them.
CREATE TABLE ticks (
    task_id TEXT PRIMARY KEY,
    since REAL NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;

-- What running code declares.
CREATE TABLE manifests (
    app TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_at REAL NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (app, key)
) WITHOUT ROWID;
