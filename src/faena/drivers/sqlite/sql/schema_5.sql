-- Limits, see faena/model/limit.py. A message under limits comes to place 14 of its queue; the next receive lines it up in
-- its lane, and puts its row to place 13. `rank` and `turn` of a lane are its place among those of its queue.
CREATE TABLE lanes (
    number INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    parked TEXT,
    UNIQUE (queue, name)
);
CREATE INDEX lanes_ring ON lanes (queue, rank, turn) WHERE parked IS NULL;
CREATE INDEX lanes_parked ON lanes (parked, queue, rank, turn) WHERE parked IS NOT NULL;

CREATE TABLE lined_up (
    lane INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE,
    expires REAL,
    PRIMARY KEY (lane, rank, seq)
) WITHOUT ROWID;

-- What is in hand, and the permits that it holds.
CREATE TABLE admitted (
    number INTEGER PRIMARY KEY,
    claim INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    lane TEXT NOT NULL,
    takes INTEGER NOT NULL,
    UNIQUE (claim, seq)
);
CREATE TABLE permits (
    name TEXT NOT NULL,
    admitted INTEGER NOT NULL,
    PRIMARY KEY (name, admitted)
) WITHOUT ROWID;

-- Until when the tokens that were taken of a rate are paid for, and when to look at what is parked there.
CREATE TABLE rates (
    name TEXT PRIMARY KEY,
    paid_until REAL NOT NULL,
    due REAL
) WITHOUT ROWID;
CREATE INDEX rates_due ON rates (due) WHERE due IS NOT NULL;

CREATE TABLE limits (
    family TEXT PRIMARY KEY,
    declared BLOB,
    change BLOB
) WITHOUT ROWID;
