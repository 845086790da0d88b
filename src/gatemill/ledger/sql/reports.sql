-- report_usage --
-- Sums of usage by any of the labels, over whole days and the minutes before and after them; by time
-- where `step_s` is a span. A label that is not asked for is ''. Empty filters let everything pass.
SELECT
    start_s - start_s % CAST(:step_s AS BIGINT) AS start_s,
    CASE WHEN CAST(:by_key AS BOOLEAN) THEN key_id ELSE '' END AS key_id,
    CASE WHEN CAST(:by_user AS BOOLEAN) THEN user_id ELSE '' END AS user_id,
    CASE WHEN CAST(:by_team AS BOOLEAN) THEN team_id ELSE '' END AS team_id,
    CASE WHEN CAST(:by_model AS BOOLEAN) THEN model ELSE '' END AS model,
    CASE WHEN CAST(:by_provider AS BOOLEAN) THEN provider ELSE '' END AS provider,
    CASE WHEN CAST(:by_target AS BOOLEAN) THEN target_model ELSE '' END AS target_model,
    CASE WHEN CAST(:by_operation AS BOOLEAN) THEN operation ELSE '' END AS operation,
    CASE WHEN CAST(:by_version AS BOOLEAN) THEN version ELSE '' END AS version,
    CASE WHEN CAST(:by_cache AS BOOLEAN) THEN cache ELSE '' END AS cache,
    CAST(sum(requests) AS BIGINT) AS requests,
    CAST(sum(attempts) AS BIGINT) AS attempts,
    CAST(sum(failed) AS BIGINT) AS failed,
    CAST(sum(unpriced) AS BIGINT) AS unpriced,
    CAST(sum(estimated) AS BIGINT) AS estimated,
    CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(sum(input_audio_tokens) AS BIGINT) AS input_audio_tokens,
    CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    CAST(sum(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(sum(output_audio_tokens) AS BIGINT) AS output_audio_tokens,
    CAST(sum(cost_microusd) AS BIGINT) AS cost_microusd,
    CAST(sum(latency_us) AS BIGINT) AS latency_us,
    CAST(sum(first_tokens) AS BIGINT) AS first_tokens,
    CAST(sum(first_token_us) AS BIGINT) AS first_token_us
FROM usage_sums
WHERE (
    (span_s = 86400 AND start_s >= :days_since AND start_s < :days_until)
    OR (span_s = 60 AND start_s >= :head_since AND start_s < :head_until)
    OR (span_s = 60 AND start_s >= :tail_since AND start_s < :tail_until)
)
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
HAVING sum(attempts) > 0
ORDER BY 1, cost_microusd DESC, attempts DESC, 2, 3, 4, 5, 6, 7, 8, 9, 10 LIMIT :limit;

-- count_usage --
-- What a summary counts. A request has succeeded when one of its attempts has.
SELECT
    CAST(coalesce(sum(CASE WHEN attempt = 1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS requests,
    count(*) AS attempts,
    CAST(coalesce(sum(CASE WHEN error = '' THEN 1 ELSE 0 END), 0) AS BIGINT) AS succeeded,
    CAST(coalesce(sum(CASE WHEN cost_microusd IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS unpriced,
    CAST(coalesce(sum(CASE WHEN estimated THEN 1 ELSE 0 END), 0) AS BIGINT) AS estimated,
    CAST(coalesce(sum(CASE WHEN cache <> '' THEN 1 ELSE 0 END), 0) AS BIGINT) AS cache_hits,
    CAST(coalesce(sum(input_tokens), 0) AS BIGINT) AS input_tokens,
    CAST(coalesce(sum(cache_read_tokens), 0) AS BIGINT) AS cache_read_tokens,
    CAST(coalesce(sum(cache_write_tokens), 0) AS BIGINT) AS cache_write_tokens,
    CAST(coalesce(sum(input_audio_tokens), 0) AS BIGINT) AS input_audio_tokens,
    CAST(coalesce(sum(output_tokens), 0) AS BIGINT) AS output_tokens,
    CAST(coalesce(sum(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens,
    CAST(coalesce(sum(output_audio_tokens), 0) AS BIGINT) AS output_audio_tokens,
    CAST(coalesce(sum(cost_microusd), 0) AS BIGINT) AS cost_microusd,
    CAST(avg(CASE WHEN error = '' THEN latency_ms END) AS DOUBLE PRECISION) AS latency_ms,
    CAST(avg(first_token_ms) AS DOUBLE PRECISION) AS first_token_ms,
    count(first_token_ms) AS first_tokens
FROM usage
WHERE at >= :since_s AND at < :until_s
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider);

-- latency_ranks --
-- The latencies of successful attempts at three places of their order; 1 is the shortest.
SELECT place, latency_ms AS value_ms FROM (
    SELECT latency_ms, row_number() OVER (ORDER BY latency_ms) AS place FROM usage
    WHERE at >= :since_s AND at < :until_s AND error = ''
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
) AS ordered
WHERE place IN (:first, :second, :third) ORDER BY place LIMIT 3;

-- first_token_ranks --
-- Times to the first token at three places of their order; 1 is the shortest.
SELECT place, first_token_ms AS value_ms FROM (
    SELECT first_token_ms, row_number() OVER (ORDER BY first_token_ms) AS place FROM usage
    WHERE at >= :since_s AND at < :until_s AND first_token_ms IS NOT NULL
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
) AS ordered
WHERE place IN (:first, :second, :third) ORDER BY place LIMIT 3;

-- top_errors --
-- The most common errors of attempts.
SELECT error AS name, count(*) AS times FROM usage
WHERE at >= :since_s AND at < :until_s AND error <> ''
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
GROUP BY error ORDER BY times DESC, name LIMIT :limit;

-- top_models --
-- The models that were asked for most.
SELECT model AS name, count(*) AS times FROM usage
WHERE at >= :since_s AND at < :until_s AND attempt = 1
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
GROUP BY model ORDER BY times DESC, name LIMIT :limit;

-- top_operations --
-- The operations that were asked for most.
SELECT operation AS name, count(*) AS times FROM usage
WHERE at >= :since_s AND at < :until_s AND attempt = 1
    AND (CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
GROUP BY operation ORDER BY times DESC, name LIMIT :limit;
