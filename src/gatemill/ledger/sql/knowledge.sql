-- take_numbers --
-- The last of `count` numbers that nobody else has.
INSERT INTO knowledge_numbers (name, value) VALUES (:name, :count)
ON CONFLICT (name) DO UPDATE SET value = knowledge_numbers.value + excluded.value RETURNING value;

-- add_store --
-- A new store.
INSERT INTO vector_stores (
    id, owner, name, description, mode, embedder, dimensions, embedder_version, generation, metadata,
    expires_days, created_at, active_at, revision, reembedding, gone
) VALUES (
    :id, :owner, :name, :description, :mode, :embedder, 0, '', 1, :metadata,
    :expires_days, :now_s, :now_s, 0, '', FALSE
);

-- count_stores --
-- How many stores an owner has.
SELECT count(*) AS stores FROM vector_stores WHERE owner = :owner AND NOT gone;

-- read_store --
-- A store of one owner.
SELECT id, owner, name, description, mode, embedder, dimensions, embedder_version, generation, metadata,
    expires_days, created_at, active_at, revision
FROM vector_stores WHERE id = :id AND owner = :owner AND NOT gone;

-- lock_store --
-- The same, which nobody else changes before the transaction ends.
SELECT id, owner, name, description, mode, embedder, dimensions, embedder_version, generation, metadata,
    expires_days, created_at, active_at, revision
FROM vector_stores WHERE id = :id AND owner = :owner AND NOT gone {locked};

-- read_store_named --
-- The oldest store of this name, of one owner.
SELECT id, owner, name, description, mode, embedder, dimensions, embedder_version, generation, metadata,
    expires_days, created_at, active_at, revision
FROM vector_stores WHERE name = :name AND owner = :owner AND NOT gone ORDER BY id LIMIT 1;

-- newest_stores --
-- The stores of an owner between two ids, the newest first; '' is no bound.
SELECT id, owner, name, description, mode, embedder, dimensions, embedder_version, generation, metadata,
    expires_days, created_at, active_at, revision
FROM vector_stores WHERE owner = :owner AND NOT gone
    AND (CAST(:below AS TEXT) = '' OR id < CAST(:below AS TEXT)) AND id > :above
ORDER BY id DESC LIMIT :limit;

-- oldest_stores --
-- The same, the oldest first.
SELECT id, owner, name, description, mode, embedder, dimensions, embedder_version, generation, metadata,
    expires_days, created_at, active_at, revision
FROM vector_stores WHERE owner = :owner AND NOT gone
    AND (CAST(:below AS TEXT) = '' OR id < CAST(:below AS TEXT)) AND id > :above
ORDER BY id LIMIT :limit;

-- sum_documents --
-- Documents of a store by status, with their chunks and bytes.
SELECT status, count(*) AS documents, CAST(coalesce(sum(chunks), 0) AS BIGINT) AS chunks,
    CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes
FROM documents WHERE store_id = :id AND NOT gone GROUP BY status;

-- sum_batch --
-- Documents of a batch of files by status.
SELECT status, count(*) AS documents, CAST(coalesce(sum(chunks), 0) AS BIGINT) AS chunks,
    CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes
FROM documents WHERE store_id = :store_id AND batch_id = :id AND NOT gone GROUP BY status;

-- sum_owner --
-- Bytes of text and vectors in all stores of an owner.
SELECT CAST(coalesce(sum(documents.bytes), 0) AS BIGINT) AS bytes
FROM vector_stores JOIN documents ON documents.store_id = vector_stores.id
WHERE vector_stores.owner = :owner AND NOT vector_stores.gone AND NOT documents.gone;

-- change_store --
-- Another name, description, metadata and expiry.
UPDATE vector_stores SET name = :name, description = :description, metadata = :metadata,
    expires_days = :expires_days, active_at = :now_s
WHERE id = :id AND owner = :owner AND NOT gone;

-- touch_store --
-- Notes that a store was used, once a minute at most.
UPDATE vector_stores SET active_at = :now_s
WHERE id = :id AND owner = :owner AND NOT gone AND active_at < :before_s;

-- revise_store --
-- Tells those who keep something of a store that what can be found has changed.
UPDATE vector_stores SET revision = revision + 1, active_at = :now_s WHERE id = :id AND NOT gone;

-- learn_dimensions --
-- The length of a store's vectors is known from now on.
UPDATE vector_stores SET dimensions = :dimensions WHERE id = :id AND dimensions = 0;

-- switch_store --
-- Searches use the vectors of another embedder from now on.
UPDATE vector_stores SET embedder = :embedder, dimensions = :dimensions,
    embedder_version = :embedder_version, generation = :generation, mode = 'hybrid',
    revision = revision + 1, reembedding = ''
WHERE id = :id AND owner = :owner AND NOT gone AND generation = :before;

-- claim_store --
-- This job alone writes the vectors of the next generation; changes no row when it did already.
UPDATE vector_stores SET reembedding = :job_id WHERE id = :id AND owner = :owner AND NOT gone
    AND reembedding <> :job_id;

-- claimed_store --
-- Whether it still does.
SELECT id FROM vector_stores WHERE id = :id AND owner = :owner AND NOT gone AND reembedding = :job_id;

-- drop_generation --
-- Deletes vectors of a generation that was not finished, a bounded number.
DELETE FROM chunk_vectors WHERE store_id = :store_id AND generation = :generation AND number IN (
    SELECT number FROM chunk_vectors WHERE store_id = :store_id AND generation = :generation
    ORDER BY number LIMIT :limit
);

-- hide_store --
-- Takes a store from its owner at once; what it holds is deleted piece by piece after that.
UPDATE vector_stores SET gone = TRUE, revision = revision + 1
WHERE id = :id AND owner = :owner AND NOT gone;

-- hide_expired --
-- The same for stores that nobody has used for as long as they may lie; a bounded number.
UPDATE vector_stores SET gone = TRUE, revision = revision + 1 WHERE id IN (
    SELECT id FROM vector_stores WHERE expires_days IS NOT NULL AND NOT gone
        AND active_at + expires_days * 86400.0 <= CAST(:now_s AS DOUBLE PRECISION)
    ORDER BY active_at LIMIT :limit
);

-- stores_gone --
-- Stores that are yet to be deleted, a bounded number.
SELECT id FROM vector_stores WHERE gone ORDER BY id LIMIT :limit;

-- hide_all --
-- Hides all documents of a store that is gone, a bounded number.
UPDATE documents SET gone = TRUE WHERE number IN (
    SELECT number FROM documents WHERE store_id = :id AND NOT gone ORDER BY number LIMIT :limit
);

-- drop_store_batches --
-- Forgets which files were added together to a store.
DELETE FROM store_batches WHERE store_id = :id;

-- drop_store --
-- Forgets a store that is gone and has no documents left.
DELETE FROM vector_stores WHERE id = :id AND gone
    AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.store_id = vector_stores.id);

-- add_document --
-- A document whose text is yet to come.
INSERT INTO documents (
    number, store_id, id, title, attributes, chunking, status, error_code, error_message, bytes, chunks,
    batch_id, job_id, is_file, created_at, touched_at, gone
) VALUES (
    :number, :store_id, :id, :title, :attributes, :chunking, 'in_progress', '', '', 0, 0,
    :batch_id, :job_id, :is_file, :created_at, :touched_at, FALSE
);

-- add_batch --
-- Files that are added together.
INSERT INTO store_batches (id, store_id, job_id, created_at, cancelled)
VALUES (:id, :store_id, :job_id, :now_s, FALSE);

-- read_batch --
-- A batch of files of a store.
SELECT id, store_id, job_id, created_at, cancelled FROM store_batches
WHERE id = :id AND store_id = :store_id;

-- cancel_batch --
-- No more files of a batch are read.
UPDATE store_batches SET cancelled = TRUE WHERE id = :id AND store_id = :store_id;

-- cancel_documents --
-- The documents of a batch that are not complete will not be.
UPDATE documents SET status = 'cancelled', touched_at = :now_s
WHERE store_id = :store_id AND batch_id = :id AND status = 'in_progress' AND NOT gone;

-- read_document --
-- A document of a store of one owner.
SELECT documents.number, documents.store_id, documents.id, documents.title, documents.attributes,
    documents.chunking, documents.status, documents.error_code, documents.error_message, documents.bytes,
    documents.chunks, documents.batch_id, documents.is_file, documents.created_at
FROM documents JOIN vector_stores ON vector_stores.id = documents.store_id
WHERE documents.store_id = :store_id AND documents.id = :id AND NOT documents.gone
    AND vector_stores.owner = :owner AND NOT vector_stores.gone;

-- lock_document --
-- A document that is being read in, which nobody else changes before the transaction ends.
SELECT number, chunks, bytes FROM documents
WHERE number = :number AND status = 'in_progress' AND NOT gone {locked};

-- oldest_documents --
-- Documents of a store of one owner between two numbers, the oldest first; '' is any status, any batch.
SELECT documents.number, documents.store_id, documents.id, documents.title, documents.attributes,
    documents.chunking, documents.status, documents.error_code, documents.error_message, documents.bytes,
    documents.chunks, documents.batch_id, documents.is_file, documents.created_at
FROM documents JOIN vector_stores ON vector_stores.id = documents.store_id
WHERE documents.store_id = :store_id AND NOT documents.gone AND documents.number > :above
    AND documents.number < :below AND vector_stores.owner = :owner AND NOT vector_stores.gone
    AND (CAST(:status AS TEXT) = '' OR documents.status = CAST(:status AS TEXT))
    AND (CAST(:batch_id AS TEXT) = '' OR documents.batch_id = CAST(:batch_id AS TEXT))
ORDER BY documents.number LIMIT :limit;

-- newest_documents --
-- The same, the newest first.
SELECT documents.number, documents.store_id, documents.id, documents.title, documents.attributes,
    documents.chunking, documents.status, documents.error_code, documents.error_message, documents.bytes,
    documents.chunks, documents.batch_id, documents.is_file, documents.created_at
FROM documents JOIN vector_stores ON vector_stores.id = documents.store_id
WHERE documents.store_id = :store_id AND NOT documents.gone AND documents.number > :above
    AND documents.number < :below AND vector_stores.owner = :owner AND NOT vector_stores.gone
    AND (CAST(:status AS TEXT) = '' OR documents.status = CAST(:status AS TEXT))
    AND (CAST(:batch_id AS TEXT) = '' OR documents.batch_id = CAST(:batch_id AS TEXT))
ORDER BY documents.number DESC LIMIT :limit;

-- job_documents --
-- Documents that a job reads in, in their order.
SELECT number, store_id, id, title, attributes, chunking, status, error_code, error_message, bytes,
    chunks, batch_id, is_file, created_at
FROM documents WHERE store_id = :store_id AND job_id = :job_id AND NOT gone
ORDER BY number LIMIT :limit;

-- document_attributes --
-- What a filter may ask of every document of a store that can be found.
SELECT number, attributes FROM documents
WHERE store_id = :id AND status = 'completed' AND NOT gone ORDER BY number;

-- change_attributes --
-- Other attributes of a document.
UPDATE documents SET attributes = :attributes WHERE number = :number AND NOT gone;

-- grow_document --
-- More of a document is stored.
UPDATE documents SET chunks = chunks + :chunks, bytes = bytes + :bytes, touched_at = :now_s
WHERE number = :number;

-- empty_document --
-- Nothing of a document is stored any more.
UPDATE documents SET chunks = 0, bytes = 0, touched_at = :now_s WHERE number = :number;

-- end_document --
-- A document is read in, or cannot be.
UPDATE documents SET status = :status, error_code = :error_code, error_message = :error_message,
    touched_at = :now_s
WHERE number = :number AND status = 'in_progress' AND NOT gone;

-- hide_document --
-- Takes a document out of its store at once; its passages are deleted piece by piece after that.
UPDATE documents SET gone = TRUE WHERE store_id = :store_id AND id = :id AND NOT gone;

-- stores_of_file --
-- Stores of an owner that have a file among their documents.
SELECT vector_stores.id FROM documents JOIN vector_stores ON vector_stores.id = documents.store_id
WHERE documents.id = :file_id AND documents.is_file AND NOT documents.gone
    AND vector_stores.owner = :owner AND NOT vector_stores.gone
ORDER BY vector_stores.id LIMIT 10000;

-- documents_gone --
-- Documents that are yet to be deleted, a bounded number.
SELECT number FROM documents WHERE gone ORDER BY number LIMIT :limit;

-- documents_orphaned --
-- Documents whose job has ended without them, or that have none and whose process died.
SELECT documents.number, jobs.state FROM documents LEFT JOIN jobs ON jobs.id = documents.job_id
WHERE documents.status = 'in_progress' AND NOT documents.gone AND (
    jobs.finished_at IS NOT NULL OR (jobs.id IS NULL AND documents.touched_at <= :before_s)
)
ORDER BY documents.touched_at LIMIT :limit;

-- lacks_vectors --
-- A passage of a document that has no vector of a generation.
SELECT number FROM chunks WHERE document = :document AND NOT EXISTS (
    SELECT 1 FROM chunk_vectors WHERE chunk_vectors.number = chunks.number
        AND chunk_vectors.generation = :generation
) LIMIT 1;

-- drop_vectors --
-- Deletes the vectors of passages of a document, all generations; a bounded number of passages.
DELETE FROM chunk_vectors WHERE number IN (
    SELECT number FROM chunks WHERE document = :document ORDER BY ordinal LIMIT :limit
);

-- drop_chunks --
-- Deletes a bounded number of passages of a document.
DELETE FROM chunks WHERE number IN (
    SELECT number FROM chunks WHERE document = :document ORDER BY ordinal LIMIT :limit
);

-- drop_document --
-- Forgets a document that is gone and has no passages left.
DELETE FROM documents WHERE number = :document AND gone
    AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.document = documents.number);

-- add_chunk --
-- A passage.
INSERT INTO chunks (number, store_id, document, ordinal, start_at, end_at, text)
VALUES (:number, :store_id, :document, :ordinal, :start_at, :end_at, :text);

-- add_vector --
-- The vector of a passage.
INSERT INTO chunk_vectors (number, generation, store_id, document, dimensions, vector)
VALUES (:number, :generation, :store_id, :document, :dimensions, :vector)
ON CONFLICT (number, generation) DO NOTHING;

-- document_chunks --
-- Passages of a document from an ordinal on.
SELECT ordinal, start_at, end_at, text FROM chunks WHERE document = :document AND ordinal >= :first
ORDER BY ordinal LIMIT :limit;

-- count_vectors --
-- How many vectors of a generation a store has.
SELECT count(*) AS vectors FROM chunk_vectors WHERE store_id = :store_id AND generation = :generation;

-- read_vectors --
-- Vectors that can be found, of a store of one owner, above a number.
SELECT chunk_vectors.number, chunk_vectors.document, chunk_vectors.vector
FROM chunk_vectors JOIN documents ON documents.number = chunk_vectors.document
    JOIN vector_stores ON vector_stores.id = chunk_vectors.store_id
WHERE chunk_vectors.store_id = :store_id AND chunk_vectors.generation = :generation
    AND chunk_vectors.number > :above AND documents.status = 'completed' AND NOT documents.gone
    AND vector_stores.owner = :owner AND NOT vector_stores.gone
ORDER BY chunk_vectors.number LIMIT :limit;

-- without_vector --
-- Passages of a store that have no vector of a generation yet, above a number.
SELECT chunks.number, chunks.document, chunks.text FROM chunks
    JOIN documents ON documents.number = chunks.document
WHERE chunks.store_id = :store_id AND chunks.number > :above AND NOT documents.gone
    AND documents.status = 'completed' AND NOT EXISTS (
        SELECT 1 FROM chunk_vectors WHERE chunk_vectors.number = chunks.number
            AND chunk_vectors.generation = :generation
    )
ORDER BY chunks.number LIMIT :limit;

-- sum_all --
-- What the stores of everybody hold, for metrics.
SELECT count(*) AS documents, CAST(coalesce(sum(chunks), 0) AS BIGINT) AS chunks FROM documents
WHERE NOT gone;
