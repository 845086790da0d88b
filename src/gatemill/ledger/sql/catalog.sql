-- sqlite_columns --
-- Every column of every table of an SQLite file, but for those made of others.
SELECT tables.name AS table_name, columns.name AS column_name, lower(columns.type) AS kind
FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'
    AND tables.name NOT LIKE 'derived_%'
ORDER BY tables.name, columns.cid;

-- postgres_columns --
-- Every column of every table of a Postgres database, but for those made of others.
SELECT CAST(table_name AS TEXT) AS table_name, CAST(column_name AS TEXT) AS column_name,
    CAST(data_type AS TEXT) AS kind
FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type NOT IN ('tsvector', 'USER-DEFINED')
ORDER BY table_name, ordinal_position;

-- every_row --
-- All of a table; the names come from the schema.
SELECT {columns} FROM {table};

-- add_row --
-- One row of a table with all its columns.
INSERT INTO {table} ({columns}) VALUES ({values});

-- remove_rows --
-- All of a table.
DELETE FROM {table};

-- count_rows --
-- The size of a table.
SELECT count(*) AS rows FROM {table};
