-- Ids that may be used once, by their hashes; they go when what has them can be accepted no more.
CREATE TABLE used_once (
    id     BLOB PRIMARY KEY,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_once_by_until ON used_once (until);
