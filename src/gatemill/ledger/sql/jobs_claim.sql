-- claim_best --
-- Starts the best jobs of a queue for a worker that is enrolled.
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE state = 'queued' AND queue = :queue
        AND priority >= :first AND priority <= :last AND priority + 0 IN (:high, :middle, :low)
        AND (expires_at IS NULL OR expires_at > :now_s OR attempt > 0 OR parts > 0)
        AND EXISTS (SELECT 1 FROM workers WHERE workers.id = :worker_id)
    ORDER BY priority, run_at, id LIMIT :limit {skip_locked}
)
UPDATE jobs SET state = 'running', attempt = attempt + 1, starts = starts + 1,
    worker_id = :worker_id, claim = :claim, started_at = :now_s
WHERE id IN (SELECT id FROM picked)
RETURNING *, (SELECT args FROM job_data WHERE job_id = jobs.id) AS args;

-- claim_oldest --
-- Starts the jobs of a queue that have waited longest, for a worker that is enrolled.
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE state = 'queued' AND queue = :queue AND priority IN (:high, :middle, :low)
        AND (expires_at IS NULL OR expires_at > :now_s OR attempt > 0 OR parts > 0)
        AND EXISTS (SELECT 1 FROM workers WHERE workers.id = :worker_id)
    ORDER BY run_at, id LIMIT :limit {skip_locked}
)
UPDATE jobs SET state = 'running', attempt = attempt + 1, starts = starts + 1,
    worker_id = :worker_id, claim = :claim, started_at = :now_s
WHERE id IN (SELECT id FROM picked)
RETURNING *, (SELECT args FROM job_data WHERE job_id = jobs.id) AS args;

-- claim_lost --
-- Starts jobs in quarantine whose workers died so many times, the longest waiting first.
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE state = 'queued' AND queue = 'quarantine' AND lost >= :lost_min AND lost <= :lost_max
        AND (expires_at IS NULL OR expires_at > :now_s OR attempt > 0 OR parts > 0)
        AND EXISTS (SELECT 1 FROM workers WHERE workers.id = :worker_id)
    ORDER BY run_at, id LIMIT :limit {skip_locked}
)
UPDATE jobs SET state = 'running', attempt = attempt + 1, starts = starts + 1,
    worker_id = :worker_id, claim = :claim, started_at = :now_s
WHERE id IN (SELECT id FROM picked)
RETURNING *, (SELECT args FROM job_data WHERE job_id = jobs.id) AS args;

-- claim_this --
-- Starts one job, if it waits and is due, for a worker that is enrolled.
UPDATE jobs SET state = 'running', attempt = attempt + 1, starts = starts + 1,
    worker_id = :worker_id, claim = :claim, started_at = :now_s
WHERE id = :id AND queue <> 'quarantine'
    AND (state = 'queued' OR (state = 'scheduled' AND run_at <= :now_s AND parts_open = 0))
    AND (expires_at IS NULL OR expires_at > :now_s OR attempt > 0 OR parts > 0)
    AND EXISTS (SELECT 1 FROM workers WHERE workers.id = :worker_id)
RETURNING *, (SELECT args FROM job_data WHERE job_id = jobs.id) AS args;

-- read_claimed --
-- The jobs that run by a claim.
SELECT jobs.*, job_data.args FROM jobs JOIN job_data ON job_data.job_id = jobs.id
WHERE jobs.worker_id = :worker_id AND jobs.claim = :claim AND jobs.state = 'running';

-- list_candidates --
-- Jobs that wait in a queue, the best first, after a place in that order.
SELECT id, owner, priority, run_at FROM jobs
WHERE state = 'queued' AND queue = :queue
    AND priority >= :first AND priority <= :last AND priority + 0 IN (:high, :middle, :low)
    AND (priority, run_at, id) > (:after_priority, :after_run_at, :after_id)
ORDER BY priority, run_at, id LIMIT :limit;

-- list_oldest_candidates --
-- Jobs that wait in a queue, the longest waiting first.
SELECT id, owner, priority, run_at FROM jobs
WHERE state = 'queued' AND queue = :queue AND priority IN (:high, :middle, :low)
ORDER BY run_at, id LIMIT :limit;

-- add_queue --
-- Makes the row of a queue, with all it may start at once.
INSERT INTO queues (name, paused, tokens, filled_at) VALUES (:name, FALSE, :tokens, :filled_at)
ON CONFLICT (name) DO NOTHING;

-- lock_queue --
-- Reads a queue's row, and keeps others from starting its jobs until the transaction ends.
SELECT tokens, filled_at FROM queues WHERE name = :name {locked};

-- fill_queue --
-- Sets how many jobs a queue may start now.
UPDATE queues SET tokens = :tokens, filled_at = :filled_at WHERE name = :name;

-- pause_queue --
-- Stops or resumes the starts of a queue.
INSERT INTO queues (name, paused, tokens, filled_at) VALUES (:name, :paused, 0, 0)
ON CONFLICT (name) DO UPDATE SET paused = excluded.paused;

-- paused_queues --
-- The queues that are stopped.
SELECT name FROM queues WHERE paused LIMIT :limit;

-- count_running --
-- Jobs of a queue that run.
SELECT count(*) AS jobs FROM jobs WHERE state = 'running' AND queue = :queue;

-- count_running_by_owner --
-- Jobs of a queue that run, by owner.
SELECT owner, count(*) AS jobs FROM jobs WHERE state = 'running' AND queue = :queue GROUP BY owner;
