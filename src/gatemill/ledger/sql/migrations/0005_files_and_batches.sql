-- Files that callers upload and batches make, and the batches themselves.

-- One row for each file. Nobody sees it before it is complete: the rest of an upload that broke off is
-- deleted an hour after the last piece came.
CREATE TABLE files (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    purpose TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    complete BOOLEAN NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    touched_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION
);

CREATE INDEX files_by_owner ON files (owner, id);

CREATE INDEX files_expiring ON files (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX files_unfinished ON files (touched_at) WHERE NOT complete;

-- The bytes of a file, 256 KiB a row but for the last, numbered from 0.
CREATE TABLE file_chunks (
    file_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (file_id, number)
);

-- One row for each batch; its work is the job job_id. The status words are OpenAI's. Tokens are those of
-- the answers in the output file; the cost is what the provider was paid, set when the batch ends.
CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    input_file_id TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    metadata TEXT NOT NULL,
    output_keep_s DOUBLE PRECISION NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    errors TEXT NOT NULL,
    output_file_id TEXT NOT NULL,
    error_file_id TEXT NOT NULL,
    total BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_microusd BIGINT,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    in_progress_at DOUBLE PRECISION,
    finalizing_at DOUBLE PRECISION,
    cancelling_at DOUBLE PRECISION,
    ended_at DOUBLE PRECISION,
    keep_until DOUBLE PRECISION
);

CREATE INDEX batches_by_owner ON batches (owner, id);

CREATE UNIQUE INDEX batches_once ON batches (owner, idempotency_key) WHERE idempotency_key <> '';

CREATE INDEX batches_by_input ON batches (input_file_id);

CREATE INDEX batches_open ON batches (owner) WHERE ended_at IS NULL;

CREATE INDEX batches_kept ON batches (keep_until) WHERE keep_until IS NOT NULL;

-- What became of a line of the input, as a line of the output or the error file, until those are made.
CREATE TABLE batch_results (
    batch_id TEXT NOT NULL,
    line BIGINT NOT NULL,
    succeeded BOOLEAN NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (batch_id, line)
);
