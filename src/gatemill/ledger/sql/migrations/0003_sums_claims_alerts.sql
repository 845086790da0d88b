-- Sums of usage, unsettled attempts, idempotent requests and alerts.

-- The rest of core.call.UsageRow, in its order, and when the row was written.
ALTER TABLE usage ADD COLUMN user_id TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN team_id TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN cache TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN version TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN unsettled BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE usage ADD COLUMN decision TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN written_s DOUBLE PRECISION NOT NULL DEFAULT 0;

-- There are never many unsettled rows. A request needs no index: its attempts are `<id>-1` and so on.
CREATE INDEX usage_unsettled ON usage (written_s) WHERE unsettled;

-- Sums of usage rows with equal labels over one minute (span_s 60) and over one day, UTC (86400).
-- Maintained in the transaction that adds or replaces the rows. Minutes are deleted together with
-- the rows they sum up, days stay.
CREATE TABLE usage_sums (
    span_s BIGINT NOT NULL,
    start_s BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    target_model TEXT NOT NULL,
    operation TEXT NOT NULL,
    version TEXT NOT NULL,
    cache TEXT NOT NULL,
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    input_audio_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    output_audio_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    first_tokens BIGINT NOT NULL,
    first_token_us BIGINT NOT NULL,
    PRIMARY KEY (
        span_s, start_s, key_id, user_id, team_id, model, provider, target_model, operation,
        version, cache
    )
);

-- What one key, user, team or model spent in a window.
CREATE INDEX usage_sums_by_key ON usage_sums (key_id, span_s, start_s);

CREATE INDEX usage_sums_by_user ON usage_sums (user_id, span_s, start_s);

CREATE INDEX usage_sums_by_team ON usage_sums (team_id, span_s, start_s);

CREATE INDEX usage_sums_by_model ON usage_sums (model, span_s, start_s);

-- The rows that are there already. All of them are in SQLite, where CAST cuts the fraction off.
INSERT INTO usage_sums
SELECT 60, CAST(at AS BIGINT) - CAST(at AS BIGINT) % 60, key_id, '', '', model, provider,
    target_model, operation, '', '',
    sum(CASE WHEN attempt = 1 THEN 1 ELSE 0 END), count(*),
    sum(CASE WHEN error <> '' THEN 1 ELSE 0 END),
    sum(CASE WHEN cost_microusd IS NULL THEN 1 ELSE 0 END),
    sum(CASE WHEN estimated THEN 1 ELSE 0 END),
    sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(input_audio_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(output_audio_tokens),
    coalesce(sum(cost_microusd), 0),
    sum(CASE WHEN error = '' THEN CAST(latency_ms * 1000 AS BIGINT) ELSE 0 END),
    count(first_token_ms), coalesce(sum(CAST(first_token_ms * 1000 AS BIGINT)), 0)
FROM usage
GROUP BY 2, key_id, model, provider, target_model, operation;

INSERT INTO usage_sums
SELECT 86400, start_s - start_s % 86400, key_id, '', '', model, provider, target_model,
    operation, '', '',
    sum(requests), sum(attempts), sum(failed), sum(unpriced), sum(estimated), sum(input_tokens),
    sum(cache_read_tokens), sum(cache_write_tokens), sum(input_audio_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(output_audio_tokens), sum(cost_microusd), sum(latency_us),
    sum(first_tokens), sum(first_token_us)
FROM usage_sums
GROUP BY 2, key_id, model, provider, target_model, operation;

-- Rows and minutes before this moment were deleted; such a row is never added again, because the
-- sums of its day have it already. Always one row.
CREATE TABLE usage_kept (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    since_s BIGINT NOT NULL
);

INSERT INTO usage_kept (id, since_s) VALUES (1, 0);

-- Requests that came with an Idempotency-Key, running or done.
CREATE TABLE idempotency (
    key_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    status BIGINT NOT NULL,
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_s DOUBLE PRECISION NOT NULL,
    until_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (key_id, idempotency_key)
);

CREATE INDEX idempotency_by_end ON idempotency (until_s);

CREATE INDEX idempotency_running ON idempotency (owner) WHERE state = 'running';

-- Budgets that reached a share of their limit, each told once.
CREATE TABLE alerts (
    scope TEXT NOT NULL,
    scope_id TEXT NOT NULL,
    period TEXT NOT NULL,
    window_start_s DOUBLE PRECISION NOT NULL,
    share DOUBLE PRECISION NOT NULL,
    limit_microusd BIGINT NOT NULL,
    spent_microusd BIGINT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL,
    delivered_s DOUBLE PRECISION,
    tries BIGINT NOT NULL,
    next_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (scope, scope_id, period, window_start_s, share)
);

CREATE INDEX alerts_due ON alerts (next_s) WHERE delivered_s IS NULL;
