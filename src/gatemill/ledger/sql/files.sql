-- begin_file --
-- Makes the row of a file whose bytes are yet to come.
INSERT INTO files (
    id, owner, purpose, filename, bytes, complete, created_at, touched_at, expires_at
) VALUES (:id, :owner, '', '', 0, FALSE, :now_s, :now_s, NULL);

-- touch_file --
-- Notes that an unfinished file goes on; changes no row when it is complete or gone.
UPDATE files SET bytes = bytes + :bytes, touched_at = :now_s WHERE id = :id AND NOT complete;

-- add_chunk --
-- Keeps a piece of a file.
INSERT INTO file_chunks (file_id, number, data) VALUES (:file_id, :number, :data);

-- finish_file --
-- Shows a file to its owner; changes no row when it is gone, or complete already.
UPDATE files SET complete = TRUE, purpose = :purpose, filename = :filename, created_at = :now_s,
    touched_at = :now_s, expires_at = :expires_at
WHERE id = :id AND NOT complete;

-- read_file --
-- A complete file that has not expired, of one owner.
SELECT id, owner, purpose, filename, bytes, created_at, expires_at FROM files
WHERE id = :id AND owner = :owner AND complete
    AND (expires_at IS NULL OR expires_at > CAST(:now_s AS DOUBLE PRECISION));

-- lock_file --
-- The same, which neither ends nor gets a batch before the transaction ends.
SELECT id FROM files
WHERE id = :id AND owner = :owner AND complete
    AND (expires_at IS NULL OR expires_at > CAST(:now_s AS DOUBLE PRECISION)) {locked};

-- newest_files --
-- The files of an owner below an id, the newest first; purpose '' is any.
SELECT id, owner, purpose, filename, bytes, created_at, expires_at FROM files
WHERE owner = :owner AND complete AND (CAST(:after AS TEXT) = '' OR id < CAST(:after AS TEXT))
    AND (CAST(:purpose AS TEXT) = '' OR purpose = CAST(:purpose AS TEXT))
    AND (expires_at IS NULL OR expires_at > CAST(:now_s AS DOUBLE PRECISION))
ORDER BY id DESC LIMIT :limit;

-- oldest_files --
-- The files of an owner above an id, the oldest first; purpose '' is any.
SELECT id, owner, purpose, filename, bytes, created_at, expires_at FROM files
WHERE owner = :owner AND complete AND id > :after
    AND (CAST(:purpose AS TEXT) = '' OR purpose = CAST(:purpose AS TEXT))
    AND (expires_at IS NULL OR expires_at > CAST(:now_s AS DOUBLE PRECISION))
ORDER BY id LIMIT :limit;

-- owned_bytes --
-- How much all files of an owner hold, the unfinished ones too.
SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes FROM files WHERE owner = :owner;

-- read_chunks --
-- Pieces of a file from a number on, in their order.
SELECT number, data FROM file_chunks WHERE file_id = :file_id AND number >= :first
ORDER BY number LIMIT :limit;

-- file_in_use --
-- A batch that has not ended and reads this file.
SELECT id FROM batches WHERE input_file_id = :id AND ended_at IS NULL LIMIT 1;

-- hide_file --
-- Takes a file from its owner at once; its bytes are deleted piece by piece after that.
UPDATE files SET complete = FALSE, touched_at = 0 WHERE id = :id AND owner = :owner AND complete;

-- abandon_file --
-- Gives up a file that is not complete.
UPDATE files SET touched_at = 0 WHERE id = :id AND NOT complete;

-- expired_files --
-- Files whose time is over and that no open batch reads, a bounded number.
SELECT id, owner FROM files
WHERE complete AND expires_at <= :now_s AND NOT EXISTS (
    SELECT 1 FROM batches WHERE batches.input_file_id = files.id AND batches.ended_at IS NULL
) ORDER BY expires_at LIMIT :limit;

-- unfinished_files --
-- Files that nobody goes on with, a bounded number.
SELECT id FROM files WHERE NOT complete AND touched_at <= :before_s ORDER BY touched_at LIMIT :limit;

-- drop_chunks --
-- Deletes a bounded number of the pieces of a file that nobody sees.
DELETE FROM file_chunks WHERE file_id = :file_id AND number IN (
    SELECT number FROM file_chunks WHERE file_id = :file_id ORDER BY number LIMIT :limit
) AND NOT EXISTS (SELECT 1 FROM files WHERE files.id = :file_id AND files.complete);

-- drop_file --
-- Forgets a file that is hidden and has no pieces left.
DELETE FROM files WHERE id = :id AND NOT complete
    AND NOT EXISTS (SELECT 1 FROM file_chunks WHERE file_chunks.file_id = files.id);
