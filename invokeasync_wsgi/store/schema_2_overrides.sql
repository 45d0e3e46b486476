-- Version 2: what clients set of functions through the API, over what applications declare.

-- One JSON text for each function of which something is set: see overrides.py.
CREATE TABLE overrides (
    function_name TEXT PRIMARY KEY,
    document      TEXT NOT NULL
) WITHOUT ROWID;

-- A value that changes with each change of something, so that readers see cheaply whether to read it
-- again: 'overrides' is the one of the table above.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
