-- add_latencies --
-- Counts how often something took so long, in one span; a negative number takes counts away.
INSERT INTO latency_sums (span_s, start_s, model, provider, measure, bucket, times)
VALUES (:span_s, :start_s, :model, :provider, :measure, :bucket, :times)
ON CONFLICT (span_s, start_s, model, provider, measure, bucket)
DO UPDATE SET times = latency_sums.times + excluded.times;

-- trend_usage --
-- Sums by time, model and, if asked, provider in the minutes, hours or days of a span, the newest first.
-- An empty model lets all of them pass. `hits` are requests that no provider had to answer.
SELECT
    start_s - start_s % CAST(:step_s AS BIGINT) AS start_s,
    model,
    CASE WHEN CAST(:by_provider AS BOOLEAN) THEN provider ELSE '' END AS provider,
    CAST(sum(requests) AS BIGINT) AS requests,
    CAST(sum(attempts) AS BIGINT) AS attempts,
    CAST(sum(failed) AS BIGINT) AS failed,
    CAST(sum(CASE WHEN cache <> '' THEN requests ELSE 0 END) AS BIGINT) AS hits,
    CAST(sum(input_tokens + input_audio_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(sum(output_tokens + output_audio_tokens) AS BIGINT) AS output_tokens,
    CAST(sum(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(sum(cost_microusd) AS BIGINT) AS cost_microusd,
    CAST(sum(unpriced) AS BIGINT) AS unpriced
FROM usage_sums
WHERE span_s = :span_s AND start_s >= :since_s AND start_s < :until_s
    AND (CAST(:model AS TEXT) = '' OR model = :model)
GROUP BY 1, 2, 3
HAVING sum(attempts) > 0
ORDER BY 1 DESC, 2, 3 LIMIT :limit;

-- trend_latencies --
-- How often something took how long, by time, in the minutes, hours or days of a span; the model '' is
-- all of them together. Each of them is looked up by itself, so that other models are not read.
WITH RECURSIVE spans (begun_s) AS (
    SELECT CAST(:since_s AS BIGINT)
    UNION ALL
    SELECT begun_s + :span_s FROM spans WHERE begun_s + :span_s < :until_s
)
SELECT
    start_s - start_s % CAST(:step_s AS BIGINT) AS start_s,
    measure,
    bucket,
    CAST(sum(times) AS BIGINT) AS times
FROM spans CROSS JOIN latency_sums
WHERE span_s = :span_s AND start_s = begun_s AND model = :model
GROUP BY 1, 2, 3
HAVING sum(times) > 0
ORDER BY 1 DESC, 2, 3 LIMIT :limit;

-- target_latencies --
-- How often attempts took how long, by model and provider, in the hours or days of a span.
SELECT model, provider, bucket, CAST(sum(times) AS BIGINT) AS times
FROM latency_sums
WHERE span_s = :span_s AND start_s >= :since_s AND start_s < :until_s AND model <> ''
    AND measure = 'latency'
GROUP BY 1, 2, 3
HAVING sum(times) > 0
ORDER BY 1, 2, 3 LIMIT :limit;

-- top_keys --
-- The keys that cost most in the minutes or days of a span.
SELECT key_id, CAST(sum(requests) AS BIGINT) AS requests,
    CAST(sum(cost_microusd) AS BIGINT) AS cost_microusd,
    CAST(sum(unpriced) AS BIGINT) AS unpriced
FROM usage_sums
WHERE span_s = :span_s AND start_s >= :since_s AND start_s < :until_s
GROUP BY key_id
HAVING sum(attempts) > 0
ORDER BY cost_microusd DESC, requests DESC, key_id LIMIT :limit;
