-- create_migrations --
-- The table of applied migrations exists.
CREATE TABLE IF NOT EXISTS migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    applied_s DOUBLE PRECISION NOT NULL
);

-- schema_version --
-- The newest applied migration, 0 in an empty database.
SELECT coalesce(max(version), 0) AS version FROM migrations;

-- record_migration --
-- Notes that a migration was applied, and when.
INSERT INTO migrations (version, name, applied_s) VALUES (:version, :name, :applied_s);

-- read_fact --
-- A one-off value of this database; no row when it was never set.
SELECT value FROM facts WHERE name = :name;

-- set_fact --
-- Sets a one-off value for good; a value that exists stays.
INSERT INTO facts (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- database_now --
-- The time that the database has, as a text; in UTC, or with its zone.
SELECT CAST(CURRENT_TIMESTAMP AS TEXT) AS now_text;
