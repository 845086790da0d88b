-- {added_up} --
-- What was used, by day and model.
SELECT start_s, model, CAST(sum(requests) AS BIGINT) AS requests,
    CAST(sum(attempts) AS BIGINT) AS attempts, CAST(sum(failed) AS BIGINT) AS failed,
    CAST(sum(input_tokens + cache_read_tokens + cache_write_tokens + input_audio_tokens) AS BIGINT)
        AS prompt_tokens,
    CAST(sum(output_tokens + reasoning_tokens + output_audio_tokens) AS BIGINT)
        AS completion_tokens,
    CAST(sum(cost_microusd) AS BIGINT) AS cost_microusd, CAST(sum(unpriced) AS BIGINT) AS unpriced

-- days_of_key --
-- What one key used by day and model, the oldest day first.
{added_up}
FROM usage_sums WHERE key_id = :id AND span_s = 86400 AND start_s >= :since_s
GROUP BY start_s, model HAVING sum(attempts) > 0
ORDER BY start_s, model LIMIT :limit;

-- days_of_user --
-- What one user used by day and model, the oldest day first.
{added_up}
FROM usage_sums WHERE user_id = :id AND span_s = 86400 AND start_s >= :since_s
GROUP BY start_s, model HAVING sum(attempts) > 0
ORDER BY start_s, model LIMIT :limit;

-- days_of_team --
-- What one team used by day and model, the oldest day first.
{added_up}
FROM usage_sums WHERE team_id = :id AND span_s = 86400 AND start_s >= :since_s
GROUP BY start_s, model HAVING sum(attempts) > 0
ORDER BY start_s, model LIMIT :limit;
