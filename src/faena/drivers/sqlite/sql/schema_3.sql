-- Which task has claimed which key. Whether it stands is read from `messages` and `parked` where the broker is this file too.
CREATE TABLE unique_keys (
    key TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    until TEXT NOT NULL,
    since REAL NOT NULL,
    taken REAL NOT NULL,
    published INTEGER NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX unique_keys_expiry ON unique_keys (expires_at);
