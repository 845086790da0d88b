-- Vector stores, their documents, the passages of these, and the passages' vectors. What makes words and
-- vectors quick to find depends on the database and is made beside these tables: ledger/knowledge/.

-- One row for each store. `mode` is keyword or hybrid. Vectors of a store are those of its generation: a new
-- embedder's are written as the next one, and the number is raised when all are there. `revision` rises
-- with every change of what can be found; `reembedding` is the job that writes the next generation. A store that is gone is deleted piece by piece.
CREATE TABLE vector_stores (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    mode TEXT NOT NULL,
    embedder TEXT NOT NULL,
    dimensions BIGINT NOT NULL,
    embedder_version TEXT NOT NULL,
    generation BIGINT NOT NULL,
    metadata TEXT NOT NULL,
    expires_days BIGINT,
    created_at DOUBLE PRECISION NOT NULL,
    active_at DOUBLE PRECISION NOT NULL,
    revision BIGINT NOT NULL,
    reembedding TEXT NOT NULL,
    gone BOOLEAN NOT NULL
);

CREATE INDEX vector_stores_by_owner ON vector_stores (owner, id);

CREATE INDEX vector_stores_gone ON vector_stores (id) WHERE gone;

CREATE INDEX vector_stores_expiring ON vector_stores (active_at) WHERE expires_days IS NOT NULL;

-- One row for each document of a store. `id` is a file's, or what its caller calls a text; `number` is ours.
-- `bytes` and `chunks` are those stored so far. The words of `status` and `error_code` are OpenAI's.
CREATE TABLE documents (
    number BIGINT PRIMARY KEY,
    store_id TEXT NOT NULL,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    attributes TEXT NOT NULL,
    chunking TEXT NOT NULL,
    status TEXT NOT NULL,
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    batch_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    is_file BOOLEAN NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    touched_at DOUBLE PRECISION NOT NULL,
    gone BOOLEAN NOT NULL
);

CREATE UNIQUE INDEX documents_once ON documents (store_id, id) WHERE NOT gone;

CREATE INDEX documents_by_store ON documents (store_id, number);

CREATE INDEX documents_by_file ON documents (id);

CREATE INDEX documents_by_job ON documents (job_id) WHERE job_id <> '';

CREATE INDEX documents_open ON documents (touched_at) WHERE status = 'in_progress';

CREATE INDEX documents_gone ON documents (number) WHERE gone;

-- Files that were added together. Their job is job_id.
CREATE TABLE store_batches (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    cancelled BOOLEAN NOT NULL
);

CREATE INDEX store_batches_by_store ON store_batches (store_id);

-- The passages: text[start_at:end_at] of their document, in characters. `number` is INTEGER because SQLite
-- then numbers its rows by it, and the index of words goes by that number.
CREATE TABLE chunks (
    number INTEGER PRIMARY KEY,
    store_id TEXT NOT NULL,
    document BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    start_at BIGINT NOT NULL,
    end_at BIGINT NOT NULL,
    text TEXT NOT NULL
);

CREATE UNIQUE INDEX chunks_of_document ON chunks (document, ordinal);

CREATE INDEX chunks_by_store ON chunks (store_id, number);

-- The vectors of the passages, of length 1, as little-endian 32-bit floats.
CREATE TABLE chunk_vectors (
    number INTEGER NOT NULL,
    generation BIGINT NOT NULL,
    store_id TEXT NOT NULL,
    document BIGINT NOT NULL,
    dimensions BIGINT NOT NULL,
    vector BYTEA NOT NULL,
    PRIMARY KEY (number, generation)
);

CREATE INDEX chunk_vectors_by_store ON chunk_vectors (store_id, generation, number);

-- The last number given to a document and to a passage.
CREATE TABLE knowledge_numbers (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
