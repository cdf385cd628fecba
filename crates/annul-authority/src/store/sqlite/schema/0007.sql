-- A revocation touches one page less for each of these. What names a target is found by its hash, so
-- the index by name is not needed; and both cells of a target lie beside each other.
DROP INDEX revocation_by_name;

ALTER TABLE cell RENAME TO cell_by_side;
DROP INDEX cell_by_until;
DROP INDEX cell_without_until;
CREATE TABLE cell (
    target  BLOB NOT NULL,
    side    INTEGER NOT NULL,
    until   INTEGER,
    line    TEXT NOT NULL,
    PRIMARY KEY (target, side)
) STRICT, WITHOUT ROWID;
INSERT INTO cell (target, side, until, line) SELECT target, side, until, line FROM cell_by_side;
DROP TABLE cell_by_side;
CREATE INDEX cell_by_until ON cell (until) WHERE until IS NOT NULL;
CREATE INDEX cell_without_until ON cell (side) WHERE until IS NULL;
