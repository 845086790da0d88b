-- {columns} --
-- Those of an attempt.
attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
first_token_ms, user_id, team_id, cache, version, unsettled, decision, job_id, experiment_id,
model_version, prompt_version, trace_id, offset_ms

-- {between} --
-- Between two places; an attempt that is one of them is not.
at >= :since_s AND at <= :until_s
    AND (at > :since_s OR attempt_id > :since_id)
    AND (at < :until_s OR attempt_id < :until_id)

-- {passing} --
-- An empty filter lets all of them pass.
(CAST(:user AS TEXT) = '' OR user_id = :user)
    AND (CAST(:team AS TEXT) = '' OR team_id = :team)
    AND (CAST(:model AS TEXT) = '' OR model = :model)
    AND (CAST(:provider AS TEXT) = '' OR provider = :provider)
    AND (CAST(:error AS TEXT) = '' OR error = :error)
    AND (CAST(:outcome AS TEXT) <> 'ok' OR error = '')
    AND (CAST(:outcome AS TEXT) <> 'error' OR error <> '')
    AND status >= :status_from AND status <= :status_to AND latency_ms >= :latency_ms

-- {minutes} --
-- The minutes of a span in which there are attempts.
span_s = 60 AND start_s >= :since_s AND start_s <= :until_s AND attempts > 0

-- older --
-- Attempts of everybody between two places, the newest first; an empty filter lets all of them pass.
SELECT {columns} FROM usage WHERE {between} AND {passing}
ORDER BY at DESC, attempt_id DESC LIMIT :limit;

-- older_of_key --
-- Attempts of one key between two places, the newest first; an empty filter lets all of them pass.
SELECT {columns} FROM usage WHERE key_id = :key AND {between} AND {passing}
ORDER BY at DESC, attempt_id DESC LIMIT :limit;

-- older_failed --
-- Attempts that failed between two places, the newest first; an empty filter lets all of them pass.
SELECT {columns} FROM usage WHERE error <> '' AND {between} AND {passing}
ORDER BY at DESC, attempt_id DESC LIMIT :limit;

-- older_durations --
-- How long attempts of everybody took, the newest first; as in `older`. NULL where they failed, and where nothing came.
SELECT CASE WHEN error = '' THEN latency_ms END AS latency_ms, first_token_ms
FROM usage WHERE {between} AND {passing}
ORDER BY at DESC, attempt_id DESC LIMIT :limit;

-- older_of_key_durations --
-- How long attempts of one key took, the newest first; as in `older_of_key`. NULL where they failed, and where nothing came.
SELECT CASE WHEN error = '' THEN latency_ms END AS latency_ms, first_token_ms
FROM usage WHERE key_id = :key AND {between} AND {passing}
ORDER BY at DESC, attempt_id DESC LIMIT :limit;

-- older_reach --
-- How far a bounded number of attempts of everybody reaches, the newest first; the index alone is read.
SELECT count(*) AS times, min(at) AS edge_s FROM (
    SELECT at FROM usage WHERE at >= :since_s AND at <= :until_s ORDER BY at DESC LIMIT :limit
) AS near;

-- older_of_key_reach --
-- How far a bounded number of attempts of one key reaches, the newest first; the index alone is read.
SELECT count(*) AS times, min(at) AS edge_s FROM (
    SELECT at FROM usage WHERE key_id = :key AND at >= :since_s AND at <= :until_s ORDER BY at DESC LIMIT :limit
) AS near;

-- older_failed_reach --
-- How far a bounded number of attempts that failed reaches, the newest first; the index alone is read.
SELECT count(*) AS times, min(at) AS edge_s FROM (
    SELECT at FROM usage WHERE error <> '' AND at >= :since_s AND at <= :until_s ORDER BY at DESC LIMIT :limit
) AS near;

-- older_minutes_of_user --
-- Minutes in which a user has attempts, the newest first.
SELECT DISTINCT start_s FROM usage_sums WHERE user_id = :user AND {minutes}
ORDER BY start_s DESC LIMIT :limit;

-- older_minutes_of_team --
-- Minutes in which a team has attempts, the newest first.
SELECT DISTINCT start_s FROM usage_sums WHERE team_id = :team AND {minutes}
ORDER BY start_s DESC LIMIT :limit;

-- older_minutes_of_model --
-- Minutes in which a model has attempts, the newest first.
SELECT DISTINCT start_s FROM usage_sums WHERE model = :model AND {minutes}
ORDER BY start_s DESC LIMIT :limit;

-- newer --
-- Attempts of everybody between two places, the oldest first; an empty filter lets all of them pass.
SELECT {columns} FROM usage WHERE {between} AND {passing}
ORDER BY at, attempt_id LIMIT :limit;

-- newer_of_key --
-- Attempts of one key between two places, the oldest first; an empty filter lets all of them pass.
SELECT {columns} FROM usage WHERE key_id = :key AND {between} AND {passing}
ORDER BY at, attempt_id LIMIT :limit;

-- newer_failed --
-- Attempts that failed between two places, the oldest first; an empty filter lets all of them pass.
SELECT {columns} FROM usage WHERE error <> '' AND {between} AND {passing}
ORDER BY at, attempt_id LIMIT :limit;

-- newer_reach --
-- How far a bounded number of attempts of everybody reaches, the oldest first; the index alone is read.
SELECT count(*) AS times, max(at) AS edge_s FROM (
    SELECT at FROM usage WHERE at >= :since_s AND at <= :until_s ORDER BY at LIMIT :limit
) AS near;

-- newer_of_key_reach --
-- How far a bounded number of attempts of one key reaches, the oldest first; the index alone is read.
SELECT count(*) AS times, max(at) AS edge_s FROM (
    SELECT at FROM usage WHERE key_id = :key AND at >= :since_s AND at <= :until_s ORDER BY at LIMIT :limit
) AS near;

-- newer_failed_reach --
-- How far a bounded number of attempts that failed reaches, the oldest first; the index alone is read.
SELECT count(*) AS times, max(at) AS edge_s FROM (
    SELECT at FROM usage WHERE error <> '' AND at >= :since_s AND at <= :until_s ORDER BY at LIMIT :limit
) AS near;

-- newer_minutes_of_user --
-- Minutes in which a user has attempts, the oldest first.
SELECT DISTINCT start_s FROM usage_sums WHERE user_id = :user AND {minutes}
ORDER BY start_s LIMIT :limit;

-- newer_minutes_of_team --
-- Minutes in which a team has attempts, the oldest first.
SELECT DISTINCT start_s FROM usage_sums WHERE team_id = :team AND {minutes}
ORDER BY start_s LIMIT :limit;

-- newer_minutes_of_model --
-- Minutes in which a model has attempts, the oldest first.
SELECT DISTINCT start_s FROM usage_sums WHERE model = :model AND {minutes}
ORDER BY start_s LIMIT :limit;
