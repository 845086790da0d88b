-- has_words --
-- Whether the index of words is there.
SELECT 1 AS found FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'chunks' AND column_name = 'words';

-- make_words --
-- The words of each passage, kept by the database itself. `simple` knows no language: no endings are cut.
ALTER TABLE chunks ADD COLUMN IF NOT EXISTS words TSVECTOR
    GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED;

-- index_words --
-- Words to passages.
CREATE INDEX IF NOT EXISTS chunks_words ON chunks USING gin (words);

-- has_near --
-- Whether vectors stand in a column of pgvector's.
SELECT 1 AS found FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'chunk_vectors' AND column_name = 'near';

-- offers_vector --
-- Whether pgvector is installed on the server, from the version on that goes on searching behind a filter.
SELECT 1 AS found FROM pg_available_extensions
WHERE name = 'vector' AND CAST(string_to_array(default_version, '.') AS INT[]) >= ARRAY[0, 8];

-- make_vector --
-- Makes the type of pgvector known in this database.
CREATE EXTENSION IF NOT EXISTS vector;

-- make_near --
-- Room for the vectors as pgvector has them.
ALTER TABLE chunk_vectors ADD COLUMN IF NOT EXISTS near vector;

-- index_far --
-- Finds the vectors that have yet to be written there.
CREATE INDEX IF NOT EXISTS chunk_vectors_far ON chunk_vectors (number) WHERE near IS NULL;

-- far_vectors --
-- Some of them.
SELECT number, generation, vector FROM chunk_vectors WHERE near IS NULL ORDER BY number LIMIT :limit;

-- bring_near --
-- Writes one there.
UPDATE chunk_vectors SET near = CAST(CAST(:near AS TEXT) AS vector)
WHERE number = :number AND generation = :generation;

-- index_near --
-- Vectors of one length by their neighbours.
CREATE INDEX IF NOT EXISTS chunk_vectors_near_{dimensions} ON chunk_vectors
    USING hnsw ((CAST(near AS vector({dimensions}))) vector_cosine_ops) WHERE dimensions = {dimensions};

-- add_near --
-- Vectors of passages, in both forms.
INSERT INTO chunk_vectors (number, generation, store_id, document, dimensions, vector, near)
SELECT number, generation, store_id, document, dimensions, vector, CAST(near AS vector)
FROM unnest(
    CAST(:number AS INT[]), CAST(:generation AS BIGINT[]), CAST(:store_id AS TEXT[]),
    CAST(:document AS BIGINT[]), CAST(:dimensions AS BIGINT[]), CAST(:vector AS BYTEA[]),
    CAST(:near AS TEXT[])
) AS given (number, generation, store_id, document, dimensions, vector, near)
ON CONFLICT (number, generation) DO NOTHING;

-- search_widely --
-- A search goes on until it has found as many as are wanted, in exact order.
SELECT set_config('hnsw.iterative_scan', 'strict_order', FALSE),
    set_config('hnsw.ef_search', '200', FALSE);

-- dense --
-- Passages of a store of one owner by the cosine with a vector, the best first.
SELECT chunk_vectors.number AS number,
    1 - (CAST(chunk_vectors.near AS vector({dimensions})) <=> CAST(CAST(:near AS TEXT) AS vector({dimensions}))) AS score
FROM chunk_vectors
WHERE chunk_vectors.dimensions = {dimensions} AND chunk_vectors.store_id = :store_id
    AND chunk_vectors.generation = :generation AND EXISTS (
        SELECT 1 FROM documents JOIN vector_stores ON vector_stores.id = documents.store_id
        WHERE documents.number = chunk_vectors.document AND documents.status = 'completed'
            AND NOT documents.gone AND vector_stores.owner = :owner AND NOT vector_stores.gone
    )
    AND (CAST(:allowed AS BIGINT[]) IS NULL OR chunk_vectors.document = ANY(CAST(:allowed AS BIGINT[])))
ORDER BY CAST(chunk_vectors.near AS vector({dimensions})) <=> CAST(CAST(:near AS TEXT) AS vector({dimensions})) LIMIT :k;

-- keyword --
-- Passages of a store of one owner, the best first: the more often and the closer their words, and the
-- rarer these are in the store, the better.
WITH asked AS (
    SELECT word, phraseto_tsquery('simple', word) AS wanted FROM unnest(CAST(:words AS TEXT[])) AS word
), findable AS MATERIALIZED (
    SELECT documents.number FROM documents JOIN vector_stores ON vector_stores.id = documents.store_id
    WHERE documents.store_id = :store_id AND documents.status = 'completed' AND NOT documents.gone
        AND vector_stores.owner = :owner AND NOT vector_stores.gone
        AND (CAST(:allowed AS BIGINT[]) IS NULL OR documents.number = ANY(CAST(:allowed AS BIGINT[])))
), matching AS MATERIALIZED (
    SELECT chunks.number, asked.word, ts_rank(chunks.words, asked.wanted, 1) AS weight
    FROM asked JOIN chunks ON chunks.words @@ asked.wanted
    WHERE chunks.store_id = :store_id AND chunks.document IN (SELECT number FROM findable)
), rarity AS (
    SELECT word, ln(1 + CAST(:chunks AS FLOAT8) / count(*)) AS worth FROM matching GROUP BY word
)
SELECT matching.number AS number, sum(matching.weight * rarity.worth) AS score
FROM matching JOIN rarity ON rarity.word = matching.word
GROUP BY matching.number ORDER BY score DESC, number LIMIT :k;

-- read_chunks --
-- Passages of a store of one owner by their numbers, with their documents.
SELECT chunks.number, chunks.ordinal, chunks.start_at, chunks.end_at, chunks.text, documents.id,
    documents.title, documents.attributes
FROM chunks, documents, vector_stores
WHERE chunks.number = ANY(CAST(:numbers AS INT[])) AND chunks.store_id = :store_id
    AND documents.number = chunks.document AND documents.status = 'completed' AND NOT documents.gone
    AND vector_stores.id = chunks.store_id AND vector_stores.owner = :owner
    AND NOT vector_stores.gone;

-- read_vectors_of --
-- Vectors of passages of a store of one owner by their numbers.
SELECT chunk_vectors.number, chunk_vectors.vector
FROM chunk_vectors, vector_stores
WHERE chunk_vectors.number = ANY(CAST(:numbers AS INT[])) AND chunk_vectors.generation = :generation
    AND chunk_vectors.store_id = :store_id AND vector_stores.id = chunk_vectors.store_id
    AND vector_stores.owner = :owner AND NOT vector_stores.gone;

-- look_around --
-- The database learns how its tables look now, and finds the best way through them.
ANALYZE chunks, chunk_vectors, documents, vector_stores;
