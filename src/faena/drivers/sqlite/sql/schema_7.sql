-- What was told of late to those who listen: a ring of batches. `seq` tells who was too slow that something is gone.
CREATE TABLE told (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL
);

-- Who listens: the FIFO to wake each by. Nothing is kept in `told` while nobody does.
CREATE TABLE listeners (
    fifo TEXT PRIMARY KEY,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
