-- A revocation touches fewer pages. The head is the last line, which is always kept. An audit event has the id
-- after the greatest there is, and the last event is always kept, so that no id is given twice. Both cells of a
-- target are one row, which clean-up finds by the second at which the first of them may go.
CREATE TABLE head_is_the_last_line (holds INTEGER NOT NULL CHECK (holds));
INSERT INTO head_is_the_last_line
    SELECT (epoch, seq, chain) IS (SELECT epoch, seq, chain FROM line ORDER BY epoch DESC, seq DESC LIMIT 1) FROM head;
DROP TABLE head_is_the_last_line;
DROP TABLE head;

DROP INDEX audit_by_position;
DROP INDEX audit_by_target;
ALTER TABLE audit RENAME TO audit_counted;
CREATE TABLE audit (
    id           INTEGER PRIMARY KEY,
    epoch        INTEGER,
    seq          INTEGER,
    time_millis  INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    target       TEXT,
    reason       TEXT,
    request_id   TEXT
) STRICT;
INSERT INTO audit SELECT id, epoch, seq, time_millis, actor, action, target, reason, request_id FROM audit_counted;
-- Where clean-up has removed the last event, this one, of the last line's time, keeps its id from being given again.
INSERT INTO audit (id, time_millis, actor, action)
    SELECT seq, (SELECT coalesce(max(time_millis), 0) FROM line), 'annul', 'store.migrate' FROM sqlite_sequence
    WHERE name = 'audit_counted' AND seq > (SELECT coalesce(max(id), 0) FROM audit);
DROP TABLE audit_counted;
CREATE INDEX audit_by_position ON audit (epoch, seq) WHERE epoch IS NOT NULL;
CREATE INDEX audit_by_target ON audit (target, id) WHERE target IS NOT NULL;

DROP INDEX cell_by_until;
DROP INDEX cell_without_until;
ALTER TABLE cell RENAME TO cell_by_side;
CREATE TABLE cell (
    target        BLOB PRIMARY KEY,
    access        TEXT,
    access_until  INTEGER,
    sessions      TEXT,
    due           INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO cell (target, access, access_until, sessions, due)
    SELECT target, max(line) FILTER (WHERE side = 0), max(until) FILTER (WHERE side = 0),
        max(line) FILTER (WHERE side = 1), min(until)
    FROM cell_by_side GROUP BY target;
DROP TABLE cell_by_side;
CREATE INDEX cell_by_due ON cell (due) WHERE due IS NOT NULL;
CREATE INDEX cell_without_until ON cell (target) WHERE access IS NOT NULL AND access_until IS NULL;
