-- Keys, usage rows and what belongs to them.
-- Rule: every statement ends with a semicolon at the end of its line, and SQLite and Postgres both
-- take it as it is. Times are Unix seconds in UTC, money is micro-dollars.

-- One-off values of this database, by name.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Raised with every change of a key, so that other processes notice it; always one row.
CREATE TABLE keys_version (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO keys_version (id, version) VALUES (1, 1);

-- A caller's key. The digest is hex HMAC-SHA256 of the whole secret; the secret itself is nowhere.
CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    models TEXT NOT NULL,
    admin BOOLEAN NOT NULL,
    created_s DOUBLE PRECISION NOT NULL,
    expires_s DOUBLE PRECISION,
    revoked_s DOUBLE PRECISION
);

-- One upstream attempt; written once, never changed. Column order is that of core.call.UsageRow.
CREATE TABLE usage (
    attempt_id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    key_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    target_model TEXT NOT NULL,
    stream BOOLEAN NOT NULL,
    status BIGINT NOT NULL,
    error TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    input_audio_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    output_audio_tokens BIGINT NOT NULL,
    estimated BOOLEAN NOT NULL,
    cost_microusd BIGINT,
    latency_ms DOUBLE PRECISION NOT NULL,
    first_token_ms DOUBLE PRECISION
);

-- Reports read a span of time, of everybody or of one key; retention deletes the oldest.
CREATE INDEX usage_by_time ON usage (at);

CREATE INDEX usage_by_key ON usage (key_id, at);
