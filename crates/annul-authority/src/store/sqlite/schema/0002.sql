-- Who follows the log, by their own reports: whoever is here is counted after a restart too, until it
-- is heard or its age has run out.
CREATE TABLE replica (
    name      TEXT NOT NULL,
    instance  TEXT NOT NULL,
    doc       TEXT NOT NULL,
    PRIMARY KEY (name, instance)
) STRICT, WITHOUT ROWID;
