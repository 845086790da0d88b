-- Hours know the operation, and jobs of one kind are found by it.

-- Sums of usage by hour (span_s 3600), for charts and summaries: by model, provider, operation and cache, all
-- other labels are ''. They are made anew from the minutes, which are kept as long.
DELETE FROM usage_sums WHERE span_s = 3600;

INSERT INTO usage_sums
SELECT 3600, start_s - start_s % 3600, '', '', '', model, provider, '', operation, '', cache,
    sum(requests), sum(attempts), sum(failed), sum(unpriced), sum(estimated), sum(input_tokens),
    sum(cache_read_tokens), sum(cache_write_tokens), sum(input_audio_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(output_audio_tokens), sum(cost_microusd), sum(latency_us),
    sum(first_tokens), sum(first_token_us)
FROM usage_sums WHERE span_s = 60
GROUP BY 2, model, provider, operation, cache;

-- For lists of one kind, of which there may be few among many.
CREATE INDEX jobs_by_kind ON jobs (kind, id);

CREATE INDEX jobs_by_owner_and_kind ON jobs (owner, kind, id);
