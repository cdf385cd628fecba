-- What the credential that renews a session's tokens is recognised by: `current` and `spent` hold the hash of a
-- refresh token's secret, or the `jti` of an access token that is its own credential. `successor` is sealed
-- under the spent token's secret, which is kept nowhere; it, `spent` and `asker` go when the grace ends.
CREATE TABLE refresh_family (
    sid                  TEXT PRIMARY KEY REFERENCES session (sid) ON DELETE CASCADE,
    generation           INTEGER NOT NULL,
    current              ANY NOT NULL,
    access_expires       INTEGER NOT NULL,
    spent                ANY,
    successor            BLOB,
    grace_until_millis   INTEGER,
    asker                TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_family_by_grace ON refresh_family (grace_until_millis) WHERE grace_until_millis IS NOT NULL;
