-- The first schema. Positions are (epoch, seq); times are Unix seconds or, where named so, milliseconds.
-- A column called `doc` holds JSON; what is searched for stands in columns of its own.

-- One row each: the log, and its head, which the appending transaction moves.
CREATE TABLE log (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    id        TEXT NOT NULL,
    settings  TEXT NOT NULL,
    hash_key  BLOB NOT NULL,
    feed_key  BLOB NOT NULL
) STRICT;

CREATE TABLE head (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    chain  BLOB NOT NULL
) STRICT;

CREATE TABLE line (
    epoch        INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    line         TEXT NOT NULL,
    chain        BLOB NOT NULL,
    time_millis  INTEGER NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    sid             TEXT PRIMARY KEY,
    subject         TEXT NOT NULL,
    created_millis  INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    ended           INTEGER NOT NULL,
    doc             TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_subject ON session (subject, created_millis DESC, sid DESC);
CREATE INDEX session_by_expiry ON session (expires);
CREATE INDEX open_session_by_expiry ON session (expires) WHERE ended = 0;

-- The targets of sessions that have not ended.
CREATE TABLE session_target (
    target  BLOB NOT NULL,
    sid     TEXT NOT NULL REFERENCES session (sid) ON DELETE CASCADE,
    PRIMARY KEY (target, sid)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_target_by_sid ON session_target (sid);

-- `until`, `sessions_until`, `spent_after`: NULL means that only a lift ends it.
CREATE TABLE revocation (
    epoch           INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    target          BLOB NOT NULL,
    name            TEXT NOT NULL,
    cutoff          TEXT NOT NULL,
    cutoff_time     INTEGER,
    sets_always     INTEGER NOT NULL,
    sets_now        INTEGER NOT NULL,
    sets_before     INTEGER,
    reach           TEXT NOT NULL,
    until           INTEGER,
    sessions_until  INTEGER,
    spent_after     INTEGER,
    reason          TEXT,
    actor           TEXT NOT NULL,
    time_millis     INTEGER NOT NULL,
    emitted_by      TEXT NOT NULL,
    lifted_epoch    INTEGER,
    lifted_seq      INTEGER,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocation_by_target ON revocation (target, epoch, seq);
CREATE INDEX revocation_by_name ON revocation (name, epoch, seq);
CREATE INDEX revocation_by_end ON revocation (spent_after) WHERE spent_after IS NOT NULL;

-- What the entries of a target amount to, apart for access (0) and sessions (1).
CREATE TABLE cell (
    side    INTEGER NOT NULL,
    target  BLOB NOT NULL,
    until   INTEGER,
    line    TEXT NOT NULL,
    PRIMARY KEY (side, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX cell_by_until ON cell (until) WHERE until IS NOT NULL;
CREATE INDEX cell_without_until ON cell (side) WHERE until IS NULL;

CREATE TABLE subject (
    name  TEXT PRIMARY KEY,
    doc   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key (
    kid             TEXT PRIMARY KEY,
    created_millis  INTEGER NOT NULL,
    doc             TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE issuer (
    issuer  TEXT PRIMARY KEY,
    doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    username  TEXT PRIMARY KEY,
    subject   TEXT NOT NULL UNIQUE,
    doc       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    client_id  TEXT PRIMARY KEY,
    doc        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT, so that an event's id is never given twice, even after clean-up.
CREATE TABLE audit (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch        INTEGER,
    seq          INTEGER,
    time_millis  INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    target       TEXT,
    reason       TEXT,
    request_id   TEXT
) STRICT;
CREATE INDEX audit_by_position ON audit (epoch, seq) WHERE epoch IS NOT NULL;
CREATE INDEX audit_by_target ON audit (target, id) WHERE target IS NOT NULL;

CREATE TABLE attempt (
    client       TEXT NOT NULL,
    key          TEXT NOT NULL,
    request      BLOB NOT NULL,
    time_millis  INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_by_time ON attempt (time_millis);
