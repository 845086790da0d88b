-- enroll --
-- Adds a worker.
INSERT INTO workers (
    id, host, pid, pid_started, queues, slots, running, lease_s, started_at, beat_at
) VALUES (
    :id, :host, :pid, :pid_started, :queues, :slots, :running, :lease_s, :started_at, :beat_at
);

-- leave --
-- Removes a worker.
DELETE FROM workers WHERE id = :id;

-- beat --
-- Notes that a worker lives.
UPDATE workers SET beat_at = :now_s, running = :running WHERE id = :id;

-- list_cancels --
-- The jobs of a worker that are to stop.
SELECT id FROM jobs WHERE worker_id = :worker_id AND state = 'running' AND cancel LIMIT :limit;

-- bury_silent --
-- Removes the workers that have been silent for longer than their lease.
DELETE FROM workers WHERE beat_at + lease_s < :now_s AND id <> :spared;

-- workers_of_host --
-- The workers of one host.
SELECT id, pid, pid_started FROM workers WHERE host = :host;

-- list_orphans --
-- Jobs that run and have no worker.
SELECT * FROM jobs
WHERE state = 'running' AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = jobs.worker_id)
LIMIT :limit {skip_locked};

-- promote --
-- Has a bounded number of jobs whose time has come wait for a worker.
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs WHERE state = 'scheduled' AND parts_open = 0 AND run_at <= :now_s
    ORDER BY run_at LIMIT :limit {skip_locked}
)
UPDATE jobs SET state = 'queued', rung_at = 0 WHERE id IN (SELECT id FROM picked)
RETURNING id;

-- expire --
-- Ends a bounded number of jobs that have not begun in time.
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE expires_at IS NOT NULL AND state IN ('queued', 'scheduled') AND expires_at <= :now_s
        AND attempt = 0 AND parts = 0
    ORDER BY expires_at LIMIT :limit {skip_locked}
)
UPDATE jobs SET state = 'expired', finished_at = :now_s, keep_until = keep_s + :now_s
WHERE id IN (SELECT id FROM picked)
RETURNING *;

-- rerung --
-- Jobs that wait and of which no worker was told since a moment; they count as told.
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs WHERE state = 'queued' AND rung_at < :before_s AND queue <> 'quarantine'
    ORDER BY rung_at LIMIT :limit {skip_locked}
)
UPDATE jobs SET rung_at = :now_s WHERE id IN (SELECT id FROM picked)
RETURNING id, queue, priority;

-- mark_rung --
-- Notes that workers were told of these jobs.
UPDATE jobs SET rung_at = :now_s WHERE state = 'queued' AND id IN (
    :a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :k, :l, :m, :n, :o, :p, :q, :r, :s, :t
);

-- list_kept --
-- A bounded number of jobs that nobody may read any more, but for parts of a job that goes on.
SELECT id FROM jobs
WHERE keep_until IS NOT NULL AND keep_until <= :now_s AND (
    parent_id = '' OR NOT EXISTS (
        SELECT 1 FROM jobs AS parents
        WHERE parents.id = jobs.parent_id AND parents.state IN ('queued', 'scheduled', 'running')
    )
)
ORDER BY keep_until LIMIT :limit {skip_locked};
