-- The floor's tables: what is waiting or held, and what came out. Nothing else.
CREATE TABLE IF NOT EXISTS tasks (
    seq INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    rank INTEGER NOT NULL,
    holder INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS tasks_ready ON tasks (queue, rank, seq) WHERE holder IS NULL;
CREATE INDEX IF NOT EXISTS tasks_held ON tasks (holder) WHERE holder IS NOT NULL;
CREATE TABLE IF NOT EXISTS results (
    id BLOB PRIMARY KEY,
    expires_at REAL NOT NULL,
    value BLOB NOT NULL
) WITHOUT ROWID;
