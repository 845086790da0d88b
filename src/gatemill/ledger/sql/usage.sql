-- insert_usage --
-- Adds an attempt; one that is there already, replayed after a crash, stays as it is.
-- Parameters stand in the order of core.call.UsageRow's fields.
INSERT INTO usage (
    attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
    status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
    first_token_ms
) VALUES (
    :attempt_id, :request_id, :attempt, :at, :key_id, :operation, :model, :provider, :target_model,
    :stream, :status, :error, :input_tokens, :cache_read_tokens, :cache_write_tokens,
    :input_audio_tokens, :output_tokens, :reasoning_tokens, :output_audio_tokens, :estimated,
    :cost_microusd, :latency_ms, :first_token_ms
) ON CONFLICT (attempt_id) DO NOTHING;

-- recent_usage --
-- The newest attempts first.
SELECT attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
    status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
    first_token_ms
FROM usage ORDER BY at DESC, attempt_id DESC LIMIT :limit;

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
