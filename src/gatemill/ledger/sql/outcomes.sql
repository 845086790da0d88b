-- read_feedback --
-- An outcome by what makes it one.
SELECT metric, arm, unit, request_id, value FROM feedback
WHERE experiment_id = :experiment_id AND mark = :mark LIMIT 1;

-- count_feedback --
-- Makes room for one more outcome; changes nothing when there is none, or the experiment has ended.
UPDATE experiments SET feedback = feedback + 1
WHERE id = :experiment_id AND state IN ('running', 'paused') AND feedback < :most;

-- uncount_feedback --
-- Gives the room back.
UPDATE experiments SET feedback = feedback - 1 WHERE id = :experiment_id;

-- add_feedback --
-- Adds an outcome, once.
INSERT INTO feedback (experiment_id, mark, metric, arm, unit, request_id, key_id, value, at)
VALUES (:experiment_id, :mark, :metric, :arm, :unit, :request_id, :key_id, :value, :at)
ON CONFLICT (experiment_id, mark) DO NOTHING;

-- replace_feedback --
-- Says an outcome anew; changes nothing when the experiment has ended.
UPDATE feedback SET value = :value, unit = :unit, at = :at
WHERE experiment_id = :experiment_id AND mark = :mark AND EXISTS (
    SELECT 1 FROM experiments WHERE id = :experiment_id AND state IN ('running', 'paused')
);

-- drop_feedback --
-- Deletes a bounded number of the outcomes of an experiment.
DELETE FROM feedback WHERE experiment_id = :id AND mark IN (
    SELECT mark FROM feedback WHERE experiment_id = :id ORDER BY mark LIMIT :limit
);

-- sum_feedback --
-- Sums for each metric and arm; several values of one unit count as their mean. They are taken about the
-- mean of all arms, so that large values do not swallow small differences.
WITH units AS (
    SELECT metric, arm, unit, avg(value) AS mean, count(*) AS times FROM feedback
    WHERE experiment_id = :id GROUP BY metric, arm, unit
), centers AS (
    SELECT metric, avg(mean) AS center FROM units GROUP BY metric
)
SELECT units.metric AS metric, units.arm AS arm, count(*) AS units,
    CAST(sum(units.times) AS BIGINT) AS times, centers.center AS center,
    sum(units.mean - centers.center) AS total,
    sum((units.mean - centers.center) * (units.mean - centers.center)) AS squares
FROM units JOIN centers ON centers.metric = units.metric
GROUP BY units.metric, units.arm, centers.center
ORDER BY units.metric, units.arm LIMIT :limit;

-- sum_requests --
-- Sums for each arm over requests: a request has failed when all its attempts have, its latency counts
-- when it has not, and its cost when it is known. They are taken about the means of all arms. That the id is
-- not empty is said for the index, which has these rows only.
WITH requests AS (
    SELECT version, request_id,
        min(CASE WHEN error = '' THEN 0 ELSE 1 END) AS failed,
        sum(latency_ms) AS latency_ms,
        CASE WHEN count(cost_microusd) = count(*) THEN CAST(sum(cost_microusd) AS DOUBLE PRECISION) / 1000000
            END AS cost_usd,
        CAST(sum(input_tokens + cache_read_tokens + cache_write_tokens + input_audio_tokens
            + output_tokens + reasoning_tokens + output_audio_tokens) AS DOUBLE PRECISION) AS tokens
    FROM usage WHERE experiment_id = :id AND experiment_id <> ''
    AND at >= :since_s AND at < :until_s
    GROUP BY version, request_id
), centers AS (
    SELECT coalesce(avg(CASE WHEN failed = 0 THEN latency_ms END), 0) AS latency_ms,
        coalesce(avg(cost_usd), 0) AS cost_usd, coalesce(avg(tokens), 0) AS tokens FROM requests
), apart AS (
    SELECT requests.version AS version, requests.failed AS failed,
        CASE WHEN requests.failed = 0 THEN requests.latency_ms - centers.latency_ms END AS latency_ms,
        requests.cost_usd - centers.cost_usd AS cost_usd,
        requests.tokens - centers.tokens AS tokens,
        centers.latency_ms AS latency_center, centers.cost_usd AS cost_center,
        centers.tokens AS tokens_center
    FROM requests CROSS JOIN centers
)
SELECT version, count(*) AS requests, CAST(sum(failed) AS BIGINT) AS failed,
    max(latency_center) AS latency_center, count(latency_ms) AS latency_count,
    coalesce(sum(latency_ms), 0) AS latency_total,
    coalesce(sum(latency_ms * latency_ms), 0) AS latency_squares,
    max(cost_center) AS cost_center, count(cost_usd) AS cost_count,
    coalesce(sum(cost_usd), 0) AS cost_total, coalesce(sum(cost_usd * cost_usd), 0) AS cost_squares,
    max(tokens_center) AS tokens_center, coalesce(sum(tokens), 0) AS tokens_total,
    coalesce(sum(tokens * tokens), 0) AS tokens_squares
FROM apart GROUP BY version ORDER BY version LIMIT :limit;

-- arm_latency --
-- The latency that 95 of 100 requests of an arm do not exceed, of its newest ones that succeeded.
SELECT latency_ms FROM (
    SELECT latency_ms, row_number() OVER (ORDER BY latency_ms) AS place, count(*) OVER () AS every
    FROM (
        SELECT sum(latency_ms) AS latency_ms FROM (
            SELECT request_id, latency_ms, error FROM usage
            WHERE experiment_id = :id AND experiment_id <> ''
            AND at >= :since_s AND at < :until_s
            AND (version = :arm OR substr(version, 1, :arm_chars) = :arm_slash)
            ORDER BY at DESC LIMIT :newest
        ) AS attempts
        GROUP BY request_id HAVING min(CASE WHEN error = '' THEN 0 ELSE 1 END) = 0
    ) AS requests
) AS ordered
WHERE place >= 0.95 * every ORDER BY place LIMIT 1;
