-- Requests and their answers, kept where the configuration asks for it.

-- One row for each request. `filled` is the body after its prompt, its arm and its features were put in,
-- where that changed it; `answer` is a body, or the events of a stream. `error` is the public code of
-- the failure, '' for success.
CREATE TABLE recordings (
    request_id TEXT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    key_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    streamed BOOLEAN NOT NULL,
    status BIGINT NOT NULL,
    error TEXT NOT NULL,
    cache TEXT NOT NULL,
    size BIGINT NOT NULL,
    body BYTEA NOT NULL,
    filled BYTEA,
    answer BYTEA NOT NULL
);

CREATE INDEX recordings_by_time ON recordings (at);

CREATE INDEX recordings_by_model ON recordings (model, request_id);

CREATE INDEX recordings_by_key ON recordings (key_id, request_id);
