-- Version 1. Every change from here on is a step of its own, in MIGRATIONS of database.py.
--
-- An event is a row of `events` from its acceptance until its retention is over, and never changes
-- but for a redrive. Where it stands in its life is which of the small tables names it: `waiting`,
-- `running` or `finished`; so what changes often is small, whatever the payload.

-- Accepted events, in the order of their acceptance.
CREATE TABLE events (
    seq            INTEGER PRIMARY KEY,
    request_id     TEXT NOT NULL,
    function_name  TEXT NOT NULL,
    qualifier      TEXT,
    payload        BLOB NOT NULL,
    accepted_at    REAL NOT NULL,       -- seconds since the epoch, here and below
    client_context TEXT,
    trace_id       TEXT,
    tenant_id      TEXT,
    delivery       TEXT                 -- for a record or dead letter on its way
);
-- Not unique: callers may choose request ids, and deliveries have the one of their event. Written
-- nearly in order, because request ids begin with the time.
CREATE INDEX events_by_request_id ON events (request_id);

-- Events whose next attempt is due now or later.
CREATE TABLE waiting (
    function_name TEXT NOT NULL,
    due           REAL NOT NULL,
    seq           INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,     -- the number of that attempt
    back_offs     INTEGER NOT NULL,
    interruptions INTEGER NOT NULL,
    wait_s        REAL NOT NULL,        -- how long it was to wait when it was put here
    PRIMARY KEY (function_name, due, seq)
) WITHOUT ROWID;

-- Events that a process has claimed.
CREATE TABLE running (
    seq           INTEGER PRIMARY KEY,
    owner         TEXT NOT NULL,        -- the process: the name of its file beside the database
    claim         INTEGER NOT NULL,     -- the number of the exchange in that process
    function_name TEXT NOT NULL,
    due           REAL NOT NULL,        -- as it was when it waited
    attempt       INTEGER NOT NULL,
    back_offs     INTEGER NOT NULL,
    interruptions INTEGER NOT NULL,
    claimed_at    REAL NOT NULL
);
CREATE INDEX running_by_owner ON running (owner);

-- How many rows of `waiting` and `running` each function has: kept in the same transactions, because
-- counting a million rows takes too long.
CREATE TABLE functions (
    name    TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL,
    running INTEGER NOT NULL
) WITHOUT ROWID;

-- What attempts came to.
CREATE TABLE attempts (
    seq              INTEGER NOT NULL,
    number           INTEGER NOT NULL,  -- counts on after a redrive, unlike events' attempts
    attempt          INTEGER NOT NULL,
    ended_at         REAL NOT NULL,
    duration_s       REAL NOT NULL,
    executed_version TEXT NOT NULL,
    function_error   TEXT,
    result           BLOB NOT NULL,
    log              TEXT NOT NULL,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;

-- Events that no attempt follows: successes, and dead letters.
CREATE TABLE finished (
    seq           INTEGER PRIMARY KEY,
    function_name TEXT NOT NULL,
    finished_at   REAL NOT NULL,
    condition     TEXT NOT NULL,        -- Success, or why it was given up
    attempt       INTEGER NOT NULL,     -- the last one tried; 0 for none
    dead          INTEGER NOT NULL      -- 0 for Success, else 1
);
CREATE INDEX finished_by_time ON finished (dead, finished_at);
CREATE INDEX dead_letters_by_function ON finished (function_name, finished_at) WHERE dead = 1;
