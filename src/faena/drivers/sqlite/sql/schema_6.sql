-- What was ordered of all workers, and stands.
CREATE TABLE orders (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_at REAL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
