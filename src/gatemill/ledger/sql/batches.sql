-- insert_batch --
-- Accepts a batch, unless its owner used this Idempotency-Key before.
INSERT INTO batches (
    id, job_id, owner, endpoint, input_file_id, completion_window, metadata, output_keep_s,
    idempotency_key, fingerprint, status, errors, output_file_id, error_file_id, total, completed,
    failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens, created_at, expires_at
) VALUES (
    :id, :job_id, :owner, :endpoint, :input_file_id, :completion_window, :metadata, :output_keep_s,
    :idempotency_key, :fingerprint, 'validating', '[]', '', '', 0, 0, 0, 0, 0, 0, 0, :created_at,
    :expires_at
) ON CONFLICT DO NOTHING;

-- count_open --
-- How many batches of an owner have not ended.
SELECT count(*) AS batches FROM batches WHERE owner = :owner AND ended_at IS NULL;

-- read_once --
-- The batch that was accepted with an Idempotency-Key.
SELECT * FROM batches WHERE owner = :owner AND idempotency_key = :idempotency_key;

-- read_batch --
-- A batch, of one owner; owner '' is any.
SELECT * FROM batches WHERE id = :id AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT));

-- list_batches --
-- The batches of an owner below an id, the newest first.
SELECT * FROM batches
WHERE owner = :owner AND (CAST(:after AS TEXT) = '' OR id < CAST(:after AS TEXT))
ORDER BY id DESC LIMIT :limit;

-- claim_holds --
-- The job, if it still runs under this claim; nobody can take it back before the transaction ends.
SELECT id FROM jobs WHERE id = :job_id AND claim = :claim AND state = 'running' {locked};

-- begin_batch --
-- Notes how many lines there are; a batch that is being cancelled stays so.
UPDATE batches SET status = CASE WHEN status = 'validating' THEN 'in_progress' ELSE status END,
    total = :total, in_progress_at = coalesce(in_progress_at, :now_s)
WHERE id = :id AND ended_at IS NULL;

-- add_result --
-- Keeps what became of a line, unless that is known.
INSERT INTO batch_results (batch_id, line, succeeded, data)
VALUES (:batch_id, :line, :succeeded, :data) ON CONFLICT (batch_id, line) DO NOTHING;

-- count_results --
-- Adds lines that have just become known, and their tokens, to the sums of a batch.
UPDATE batches SET completed = completed + :completed, failed = failed + :failed,
    input_tokens = input_tokens + :input_tokens, cached_tokens = cached_tokens + :cached_tokens,
    output_tokens = output_tokens + :output_tokens,
    reasoning_tokens = reasoning_tokens + :reasoning_tokens
WHERE id = :id;

-- known_lines --
-- The lines of a part whose results are known.
SELECT line FROM batch_results WHERE batch_id = :batch_id AND line >= :first AND line <= :last;

-- read_results --
-- The results of a part, in order.
SELECT line, succeeded, data FROM batch_results
WHERE batch_id = :batch_id AND line >= :first AND line <= :last ORDER BY line LIMIT :limit;

-- finalize_batch --
-- Notes that the output is being made; a batch that is being cancelled stays so.
UPDATE batches SET status = 'finalizing', finalizing_at = :now_s
WHERE id = :id AND status = 'in_progress';

-- end_batch --
-- The end of a batch, whichever it is; it has one.
UPDATE batches SET status = :status, errors = :errors, output_file_id = :output_file_id,
    error_file_id = :error_file_id, failed = CAST(:failed AS BIGINT), cost_microusd = :cost_microusd,
    ended_at = :now_s, keep_until = :keep_until
WHERE id = :id AND ended_at IS NULL;

-- cancel_batch --
-- Notes that a batch is to stop.
UPDATE batches SET status = 'cancelling', cancelling_at = :now_s
WHERE id = :id AND owner = :owner AND status IN ('validating', 'in_progress') RETURNING *;

-- orphans --
-- Open batches whose job has ended or is gone, a bounded number.
SELECT batches.id AS id, jobs.state AS state FROM batches LEFT JOIN jobs ON jobs.id = batches.job_id
WHERE batches.ended_at IS NULL
    AND (jobs.id IS NULL OR jobs.state IN ('succeeded', 'dead', 'cancelled', 'expired'))
ORDER BY batches.id LIMIT :limit;

-- orphan_batch --
-- Ends a batch whose job has ended without doing so.
UPDATE batches SET status = :status, errors = :errors, ended_at = CAST(:now_s AS DOUBLE PRECISION),
    keep_until = CAST(:now_s AS DOUBLE PRECISION) + output_keep_s
WHERE id = :id AND ended_at IS NULL;

-- ended_with_results --
-- Batches that have ended and still have single results, a bounded number.
SELECT id FROM batches WHERE ended_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM batch_results WHERE batch_results.batch_id = batches.id)
ORDER BY id LIMIT :limit;

-- drop_results --
-- Deletes a bounded number of the single results of a batch.
DELETE FROM batch_results WHERE batch_id = :batch_id AND line IN (
    SELECT line FROM batch_results WHERE batch_id = :batch_id ORDER BY line LIMIT :limit
);

-- drop_batches --
-- Forgets a bounded number of batches whose time is over.
DELETE FROM batches WHERE id IN (
    SELECT id FROM batches WHERE keep_until <= :now_s ORDER BY keep_until LIMIT :limit
);
