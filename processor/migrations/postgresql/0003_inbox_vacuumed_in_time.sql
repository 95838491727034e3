-- As many rows leave the inbox as come into it. By default a table is looked after when a fifth of it is dead, which of
-- a week's marks are millions of rows.
ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
