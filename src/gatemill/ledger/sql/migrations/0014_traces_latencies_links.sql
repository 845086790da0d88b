-- Traces of attempts and jobs, latencies by bucket, and one-time sign-in links.

-- The trace that a request belongs to, in hex; '' where nobody traces.
ALTER TABLE usage ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';

-- When the attempt began, after the arrival of its request.
ALTER TABLE usage ADD COLUMN offset_ms DOUBLE PRECISION NOT NULL DEFAULT 0;

-- The W3C trace context of whoever submitted the job; '' where there was none.
ALTER TABLE jobs ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';

-- How many attempts that succeeded took how long, over one minute (span_s 60), one hour (3600) and one
-- day, UTC (86400). All models together are under the model '', in every span; hours and days have the
-- latency of each model and provider apart, too. A bucket is a number of policy/latencies.py.
-- Maintained in the transaction that adds the rows; minutes and hours are deleted together with the
-- rows, days stay. Rows from before this migration are not in it.
CREATE TABLE latency_sums (
    span_s BIGINT NOT NULL,
    start_s BIGINT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    measure TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    times BIGINT NOT NULL,
    PRIMARY KEY (span_s, start_s, model, provider, measure, bucket)
);

-- Sums of usage by hour (span_s 3600), for charts: by model, provider and cache, all other labels are ''.
INSERT INTO usage_sums
SELECT 3600, start_s - start_s % 3600, '', '', '', model, provider, '', '', '', cache,
    sum(requests), sum(attempts), sum(failed), sum(unpriced), sum(estimated), sum(input_tokens),
    sum(cache_read_tokens), sum(cache_write_tokens), sum(input_audio_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(output_audio_tokens), sum(cost_microusd), sum(latency_us),
    sum(first_tokens), sum(first_token_us)
FROM usage_sums WHERE span_s = 60
GROUP BY 2, model, provider, cache;

-- Links that sign somebody in once. The digest is of the token; the token itself is nowhere.
CREATE TABLE signin_links (
    digest TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL,
    until_s DOUBLE PRECISION NOT NULL
);

CREATE INDEX signin_links_by_end ON signin_links (until_s);

-- Attempts that failed are looked for alone; there are few of them.
CREATE INDEX usage_failed ON usage (at) WHERE error <> '';
