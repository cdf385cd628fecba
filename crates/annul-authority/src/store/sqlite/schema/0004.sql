-- The groups that subjects fall into, where entries about one user stay at the authority; and the
-- secret, sealed, that keys of subjects are derived from.
ALTER TABLE log ADD COLUMN groups TEXT;
ALTER TABLE log ADD COLUMN subject_secret TEXT;
