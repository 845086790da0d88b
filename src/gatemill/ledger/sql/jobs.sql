-- insert_job --
-- Adds a job; one whose id or unique key is there already stays as it is.
INSERT INTO jobs (
    id, owner, key_id, kind, queue, own_queue, priority, state, run_at, expires_at, attempt,
    attempts_max, starts, lost, timeout_s, keep_s, cancel, unique_key, fingerprint, callback_url,
    metadata, parent_id, part, parts, parts_open, notify, worker_id, claim, rung_at, created_at,
    traceparent
) VALUES (
    :id, :owner, :key_id, :kind, :queue, :own_queue, :priority, :state, :run_at, :expires_at, 0,
    :attempts_max, 0, 0, :timeout_s, :keep_s, FALSE, :unique_key, :fingerprint, :callback_url,
    :metadata, :parent_id, :part, 0, 0, :notify, '', '', 0, :created_at, :traceparent
) ON CONFLICT DO NOTHING;

-- insert_job_data --
-- Adds the arguments of a job.
INSERT INTO job_data (job_id, args) VALUES (:job_id, :args);

-- read_job --
-- One job by its id.
SELECT * FROM jobs WHERE id = :id;

-- read_unique --
-- The job that an owner submitted with a unique key.
SELECT * FROM jobs WHERE owner = :owner AND unique_key = :unique_key AND unique_key <> '';

-- count_owned --
-- Jobs of one owner that have not ended, counted as far as it matters.
SELECT count(*) AS jobs FROM (
    SELECT 1 FROM jobs
    WHERE owner = :owner AND state IN ('queued', 'scheduled', 'running') LIMIT :most
) AS found;

-- count_open --
-- All jobs that have not ended, counted as far as it matters.
SELECT count(*) AS jobs FROM (
    SELECT 1 FROM jobs WHERE state IN ('queued', 'scheduled', 'running') LIMIT :most
) AS found;

-- read_full --
-- One job with what is kept beside its row.
SELECT jobs.*, job_data.args, job_data.progress, job_data.result
FROM jobs JOIN job_data ON job_data.job_id = jobs.id WHERE jobs.id = :id;

-- read_look --
-- One job with how far it is.
SELECT jobs.*, job_data.progress
FROM jobs JOIN job_data ON job_data.job_id = jobs.id WHERE jobs.id = :id;

-- list_parts --
-- The parts of a job in their order, with all that is kept of them.
SELECT jobs.*, job_data.args, job_data.progress, job_data.result
FROM jobs JOIN job_data ON job_data.job_id = jobs.id
WHERE jobs.parent_id = :parent_id AND jobs.parent_id <> '' AND jobs.part > :after
ORDER BY jobs.part LIMIT :limit;

-- {passing} --
-- What every list of jobs may ask for; an empty filter lets all of them pass, but for webhooks, which are
-- listed by their kind alone.
id < :before AND parent_id = :parent_id
    AND (CAST(:state AS TEXT) = '' OR state = :state)
    AND (kind = :kind OR (CAST(:kind AS TEXT) = '' AND kind <> 'webhook'))
    AND (CAST(:queue AS TEXT) = '' OR queue = :queue)
    AND (CAST(:priority AS BIGINT) = -1 OR priority = :priority)
    AND (CAST(:error AS TEXT) = '' OR substr(error, 1, length(CAST(:error AS TEXT))) = :error)
    AND created_at >= :created_after_s AND created_at < :created_before_s

-- list_jobs --
-- Jobs of every owner, the newest first.
SELECT * FROM jobs WHERE {passing}
ORDER BY id DESC LIMIT :limit;

-- list_jobs_of_owner --
-- Jobs of one owner, the newest first.
SELECT * FROM jobs WHERE owner = :owner AND {passing}
ORDER BY id DESC LIMIT :limit;

-- list_jobs_of_kind --
-- Jobs of every owner of one kind, the newest first.
SELECT * FROM jobs WHERE kind = :kind AND {passing}
ORDER BY id DESC LIMIT :limit;

-- list_jobs_of_owner_and_kind --
-- Jobs of one owner of one kind, the newest first.
SELECT * FROM jobs WHERE owner = :owner AND kind = :kind AND {passing}
ORDER BY id DESC LIMIT :limit;

-- list_jobs_in_state --
-- Jobs of every owner in one state, the newest first.
SELECT * FROM jobs WHERE lower(state) = :state AND {passing}
ORDER BY id DESC LIMIT :limit;

-- list_dead_of_owner --
-- The dead letters of one owner, the newest first.
SELECT * FROM jobs WHERE owner = :owner AND state = 'dead' AND {passing}
ORDER BY id DESC LIMIT :limit;

-- list_jobs_of_parent --
-- The parts of one job, the newest first; of `everybody`, or of one owner.
SELECT * FROM jobs
WHERE parent_id <> '' AND (CAST(:everybody AS BOOLEAN) OR owner = :owner) AND {passing}
ORDER BY id DESC LIMIT :limit;

-- list_attempts --
-- The attempts of a job that have ended, in their order.
SELECT number, worker_id, started_at, ended_at, outcome, error FROM job_attempts
WHERE job_id = :job_id ORDER BY number LIMIT :limit;

-- list_events --
-- What a job has said after a number.
SELECT number, data FROM job_events WHERE job_id = :job_id AND number > :after
ORDER BY number LIMIT :limit;

-- list_steps --
-- What a job has done already.
SELECT name, value FROM job_steps WHERE job_id = :job_id;

-- job_cost --
-- Micro-dollars of a job and of its parts, and of theirs; NULL when one of them is unknown.
WITH RECURSIVE family (id) AS (
    SELECT CAST(:id AS TEXT)
    UNION ALL
    SELECT jobs.id FROM jobs JOIN family ON jobs.parent_id = family.id WHERE jobs.parent_id <> ''
)
SELECT CASE WHEN count(*) = count(usage.cost_microusd)
    THEN CAST(coalesce(sum(usage.cost_microusd), 0) AS BIGINT) END AS cost_microusd
FROM usage JOIN family ON usage.job_id = family.id WHERE usage.job_id <> '';

-- depths --
-- Jobs that have not ended by queue, priority and state, and when the first of each was due.
SELECT queue, priority, state, count(*) AS jobs, min(run_at) AS oldest_at
FROM jobs WHERE state IN ('queued', 'scheduled', 'running')
GROUP BY queue, priority, state;

-- queue_waits --
-- Whether a job of a queue waits for a worker.
SELECT id FROM jobs WHERE state = 'queued' AND queue = :queue LIMIT 1;

-- list_workers --
-- Who runs jobs, in the order of their ids.
SELECT id, host, pid, pid_started, queues, slots, running, lease_s, started_at, beat_at
FROM workers ORDER BY id LIMIT :limit;

-- list_queues --
-- What all workers together may do in each queue.
SELECT name, paused, tokens, filled_at FROM queues ORDER BY name LIMIT :limit;
