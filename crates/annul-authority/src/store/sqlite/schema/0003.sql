-- Revocations that wait for their time: `due_millis` is that of the next step, NULL when nothing is left to
-- do; `last_millis` that of the last step.
CREATE TABLE schedule (
    id              TEXT PRIMARY KEY,
    created_millis  INTEGER NOT NULL,
    due_millis      INTEGER,
    last_millis     INTEGER NOT NULL,
    doc             TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_by_due ON schedule (due_millis, id) WHERE due_millis IS NOT NULL;
CREATE INDEX schedule_by_end ON schedule (last_millis) WHERE due_millis IS NULL;

-- What bounded all verifiers, from when on: one row per change.
CREATE TABLE verifier_bound (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    doc  TEXT NOT NULL
) STRICT;
