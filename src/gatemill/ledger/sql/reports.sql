-- {passing} --
-- An empty filter lets all of them pass.
(CAST(:key AS TEXT) = '' OR key_id = :key)
    AND (CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)

-- {sums} --
-- All that is counted, added up.
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
    {sums}
FROM usage_sums
WHERE (
    (span_s = 86400 AND start_s >= :days_since AND start_s < :days_until)
    OR (span_s = 60 AND start_s >= :head_since AND start_s < :head_until)
    OR (span_s = 60 AND start_s >= :tail_since AND start_s < :tail_until)
)
    AND {passing}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
HAVING sum(attempts) > 0
ORDER BY 1, cost_microusd DESC, attempts DESC, 2, 3, 4, 5, 6, 7, 8, 9, 10 LIMIT :limit;

-- {summed} --
-- Sums by operation, cache and, if asked, model in the minutes, hours or days of a span.
SELECT
    CASE WHEN CAST(:by_model AS BOOLEAN) THEN model ELSE '' END AS model,
    operation,
    cache,
    {sums}
FROM usage_sums
WHERE span_s = :span_s AND start_s >= :since_s AND start_s < :until_s

-- {grouped} --
-- The end of it: the groups with most attempts.
GROUP BY 1, 2, 3
HAVING sum(attempts) > 0
ORDER BY attempts DESC, 1, 2, 3 LIMIT :limit

-- summed --
-- What a summary counts, of everybody.
{summed} AND {passing}
{grouped};

-- summed_of_key --
-- What a summary counts, of one key.
{summed} AND key_id = :key AND {passing}
{grouped};

-- summed_of_user --
-- What a summary counts, of one user.
{summed} AND user_id = :user AND {passing}
{grouped};

-- summed_of_team --
-- What a summary counts, of one team.
{summed} AND team_id = :team AND {passing}
{grouped};

-- summed_of_model --
-- What a summary counts, of one model.
{summed} AND model = :model AND {passing}
{grouped};

-- top_errors --
-- The most common errors of a bounded number of attempts that failed, the newest ones.
SELECT error AS name, count(*) AS times FROM (
    SELECT error, key_id, user_id, team_id, model, provider FROM usage
    WHERE error <> '' AND at >= :since_s AND at < :until_s ORDER BY at DESC LIMIT :most
) AS newest
WHERE {passing}
GROUP BY error ORDER BY times DESC, name LIMIT :limit;
