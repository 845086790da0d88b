-- insert_usage --
-- Adds an attempt; one that is there already, replayed after a crash, stays as it is.
-- Parameters stand in the order of core.call.UsageRow's fields; the last is the present time.
INSERT INTO usage (
    attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model,
    stream, status, error, input_tokens, cache_read_tokens, cache_write_tokens,
    input_audio_tokens, output_tokens, reasoning_tokens, output_audio_tokens, estimated,
    cost_microusd, latency_ms, first_token_ms, user_id, team_id, cache, version, unsettled,
    decision, job_id, experiment_id, model_version, prompt_version, trace_id, offset_ms, written_s
) VALUES (
    :attempt_id, :request_id, :attempt, :at, :key_id, :operation, :model, :provider,
    :target_model, :stream, :status, :error, :input_tokens, :cache_read_tokens,
    :cache_write_tokens, :input_audio_tokens, :output_tokens, :reasoning_tokens,
    :output_audio_tokens, :estimated, :cost_microusd, :latency_ms, :first_token_ms, :user_id,
    :team_id, :cache, :version, :unsettled, :decision, :job_id, :experiment_id, :model_version,
    :prompt_version, :trace_id, :offset_ms, :written_s
) ON CONFLICT (attempt_id) DO NOTHING;

-- take_unsettled_usage --
-- Takes out an attempt whose true row has come, and gives it back, unless it was settled meanwhile.
DELETE FROM usage WHERE attempt_id = :attempt_id AND unsettled
RETURNING attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
    status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
    first_token_ms, user_id, team_id, cache, version, unsettled, decision, job_id, experiment_id,
    model_version, prompt_version, trace_id, offset_ms;

-- settle_usage --
-- Settles a bounded number of attempts whose true row did not come in time.
UPDATE usage SET unsettled = FALSE WHERE attempt_id IN (
    SELECT attempt_id FROM usage WHERE unsettled AND written_s < :written_before_s
    ORDER BY written_s LIMIT :limit
);

-- add_sums --
-- Adds to the sums of one span and one set of labels.
INSERT INTO usage_sums (
    span_s, start_s, key_id, user_id, team_id, model, provider, target_model, operation,
    version, cache, requests, attempts, failed, unpriced, estimated, input_tokens,
    cache_read_tokens, cache_write_tokens, input_audio_tokens, output_tokens, reasoning_tokens,
    output_audio_tokens, cost_microusd, latency_us, first_tokens, first_token_us
) VALUES (
    :span_s, :start_s, :key_id, :user_id, :team_id, :model, :provider, :target_model,
    :operation, :version, :cache, :requests, :attempts, :failed, :unpriced, :estimated,
    :input_tokens, :cache_read_tokens, :cache_write_tokens, :input_audio_tokens, :output_tokens,
    :reasoning_tokens, :output_audio_tokens, :cost_microusd, :latency_us, :first_tokens,
    :first_token_us
) ON CONFLICT (
    span_s, start_s, key_id, user_id, team_id, model, provider, target_model, operation,
    version, cache
) DO UPDATE SET
    requests = usage_sums.requests + excluded.requests,
    attempts = usage_sums.attempts + excluded.attempts,
    failed = usage_sums.failed + excluded.failed,
    unpriced = usage_sums.unpriced + excluded.unpriced,
    estimated = usage_sums.estimated + excluded.estimated,
    input_tokens = usage_sums.input_tokens + excluded.input_tokens,
    cache_read_tokens = usage_sums.cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = usage_sums.cache_write_tokens + excluded.cache_write_tokens,
    input_audio_tokens = usage_sums.input_audio_tokens + excluded.input_audio_tokens,
    output_tokens = usage_sums.output_tokens + excluded.output_tokens,
    reasoning_tokens = usage_sums.reasoning_tokens + excluded.reasoning_tokens,
    output_audio_tokens = usage_sums.output_audio_tokens + excluded.output_audio_tokens,
    cost_microusd = usage_sums.cost_microusd + excluded.cost_microusd,
    latency_us = usage_sums.latency_us + excluded.latency_us,
    first_tokens = usage_sums.first_tokens + excluded.first_tokens,
    first_token_us = usage_sums.first_token_us + excluded.first_token_us;

-- recent_usage --
-- The newest attempts first.
SELECT attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
    status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
    first_token_ms, user_id, team_id, cache, version, unsettled, decision, job_id, experiment_id,
    model_version, prompt_version, trace_id, offset_ms
FROM usage
ORDER BY at DESC, attempt_id DESC LIMIT :limit;

-- request_usage --
-- The attempts of one request, in their order; there are at most ten.
SELECT attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
    status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
    first_token_ms, user_id, team_id, cache, version, unsettled, decision, job_id, experiment_id,
    model_version, prompt_version, trace_id, offset_ms
FROM usage WHERE attempt_id IN (
    :first, :second, :third, :fourth, :fifth, :sixth, :seventh, :eighth, :ninth, :tenth
) ORDER BY attempt;

-- total_usage --
-- Sums per key and model over a span of time, the dearest first. A request with several attempts
-- counts once; attempts without a price are counted apart, because their cost is not 0 but unknown.
SELECT key_id, model,
    CAST(sum(CASE WHEN attempt = 1 THEN 1 ELSE 0 END) AS BIGINT) AS requests,
    count(*) AS attempts,
    CAST(sum(CASE WHEN error <> '' THEN 1 ELSE 0 END) AS BIGINT) AS failed,
    CAST(sum(CASE WHEN cost_microusd IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS unpriced,
    CAST(sum(input_tokens + cache_read_tokens + cache_write_tokens + input_audio_tokens) AS BIGINT)
        AS prompt_tokens,
    CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(output_tokens + reasoning_tokens + output_audio_tokens) AS BIGINT)
        AS completion_tokens,
    CAST(coalesce(sum(cost_microusd), 0) AS BIGINT) AS cost_microusd
FROM usage WHERE at >= :since_s AND at < :until_s
GROUP BY key_id, model
ORDER BY cost_microusd DESC, key_id, model LIMIT :limit;

-- delete_usage --
-- Deletes the oldest attempts that began before a moment, a bounded number at a time.
DELETE FROM usage WHERE attempt_id IN (
    SELECT attempt_id FROM usage WHERE at < :before_s ORDER BY at LIMIT :limit
);

-- delete_minutes --
-- Deletes the oldest hour of minute sums, as far as it lies before a moment.
DELETE FROM usage_sums WHERE span_s = 60 AND start_s < :before_s
    AND start_s < (SELECT min(start_s) FROM usage_sums WHERE span_s = 60) + 3600;

-- delete_hours --
-- Deletes the oldest day of hour sums, as far as it lies before a moment.
DELETE FROM usage_sums WHERE span_s = 3600 AND start_s < :before_s
    AND start_s < (SELECT min(start_s) FROM usage_sums WHERE span_s = 3600) + 86400;

-- delete_latencies --
-- Deletes the oldest sixty minutes or hours of counted latencies, as far as they lie before a moment.
DELETE FROM latency_sums WHERE span_s = :span_s AND start_s < :before_s
    AND start_s < (SELECT min(start_s) FROM latency_sums WHERE span_s = :span_s) + 60 * :span_s;

-- keep_usage --
-- Notes that rows before a moment are deleted; it never moves back.
UPDATE usage_kept SET since_s = :since_s WHERE id = 1 AND since_s < :since_s;

-- read_kept --
-- The moment before which rows and minutes were deleted.
SELECT since_s FROM usage_kept WHERE id = 1;

-- key_spent --
-- Micro-dollars of one key in the minutes or days of a span of time.
SELECT CAST(coalesce(sum(cost_microusd), 0) AS BIGINT) AS cost_microusd FROM usage_sums
WHERE key_id = :id AND span_s = :span_s AND start_s >= :since_s AND start_s < :until_s;

-- user_spent --
-- Micro-dollars of one user in the minutes or days of a span of time.
SELECT CAST(coalesce(sum(cost_microusd), 0) AS BIGINT) AS cost_microusd FROM usage_sums
WHERE user_id = :id AND span_s = :span_s AND start_s >= :since_s AND start_s < :until_s;

-- team_spent --
-- Micro-dollars of one team in the minutes or days of a span of time.
SELECT CAST(coalesce(sum(cost_microusd), 0) AS BIGINT) AS cost_microusd FROM usage_sums
WHERE team_id = :id AND span_s = :span_s AND start_s >= :since_s AND start_s < :until_s;

-- model_spent --
-- Micro-dollars of one model in the minutes or days of a span of time.
SELECT CAST(coalesce(sum(cost_microusd), 0) AS BIGINT) AS cost_microusd FROM usage_sums
WHERE model = :id AND span_s = :span_s AND start_s >= :since_s AND start_s < :until_s;
