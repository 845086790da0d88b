-- succeed_job --
-- Ends a job well, if the claim on it still holds.
UPDATE jobs SET state = 'succeeded', cancel = FALSE, worker_id = '', error = NULL,
    finished_at = :now_s, keep_until = keep_s + :now_s
WHERE id = :id AND claim = :claim AND state = 'running'
RETURNING *;

-- lock_claimed --
-- A job that a claim still holds, kept from others until the transaction ends.
SELECT * FROM jobs WHERE id = :id AND claim = :claim AND state = 'running' {locked};

-- check_claimed --
-- Whether a claim still holds.
SELECT id FROM jobs WHERE id = :id AND claim = :claim AND state = 'running' {locked};

-- lock_job --
-- One job, kept from others until the transaction ends.
SELECT * FROM jobs WHERE id = :id {locked};

-- end_job --
-- Ends a job; the caller holds its row.
UPDATE jobs SET state = :state, attempt = :attempt, lost = :lost, worker_id = '',
    error = CAST(:error AS TEXT), finished_at = :now_s, keep_until = keep_s + :now_s
WHERE id = :id RETURNING *;

-- put_back --
-- Has a job that ran wait for its next start; the caller holds its row.
UPDATE jobs SET state = :state, queue = :queue, run_at = :run_at, attempt = :attempt, lost = :lost,
    parts = parts + :parts, parts_open = parts_open + :parts, error = CAST(:error AS TEXT),
    worker_id = '', rung_at = 0
WHERE id = :id RETURNING *;

-- keep_result --
-- Stores the result of a job.
UPDATE job_data SET result = :result WHERE job_id = :job_id;

-- keep_progress --
-- Stores how far a job is, if its claim is the last.
UPDATE job_data SET progress = :progress
WHERE job_id = :job_id AND EXISTS (SELECT 1 FROM jobs WHERE id = :job_id AND claim = :claim);

-- add_attempt --
-- Adds an attempt that ended to the history of its job.
INSERT INTO job_attempts (job_id, number, worker_id, started_at, ended_at, outcome, error)
VALUES (:job_id, :number, :worker_id, :started_at, :ended_at, :outcome, :error)
ON CONFLICT (job_id, number) DO NOTHING;

-- keep_step --
-- Stores what a job has done.
INSERT INTO job_steps (job_id, name, value) VALUES (:job_id, :name, :value)
ON CONFLICT (job_id, name) DO UPDATE SET value = excluded.value;

-- last_event --
-- The number of the last thing that a job said.
SELECT coalesce(max(number), 0) AS number FROM job_events WHERE job_id = :job_id;

-- add_event --
-- Adds what a job said.
INSERT INTO job_events (job_id, number, data) VALUES (:job_id, :number, :data);

-- part_ended --
-- Counts a part of a job as ended; with the last of them the job waits for its start.
UPDATE jobs SET parts_open = parts_open - 1,
    state = CASE WHEN state = 'scheduled' AND parts_open = 1 THEN 'queued' ELSE state END
WHERE id = :id AND parts_open > 0;

-- cancel_waiting_parts --
-- Ends the parts of a job that have not begun.
UPDATE jobs SET state = 'cancelled', finished_at = :now_s, keep_until = keep_s + :now_s
WHERE parent_id = :parent_id AND parent_id <> '' AND state IN ('queued', 'scheduled')
RETURNING *;

-- flag_running_parts --
-- Tells the parts of a job that run to stop.
UPDATE jobs SET cancel = TRUE
WHERE parent_id = :parent_id AND parent_id <> '' AND state = 'running' AND NOT cancel
RETURNING *;

-- flag_job --
-- Tells a job that runs to stop; the caller holds its row.
UPDATE jobs SET cancel = TRUE WHERE id = :id RETURNING *;

-- replay_job --
-- Has a job that ended begin again; the caller holds its row.
UPDATE jobs SET state = :state, queue = own_queue, priority = :priority, run_at = :now_s,
    expires_at = NULL, attempt = 0, lost = 0, cancel = FALSE, parts = :parts,
    parts_open = :parts_open, worker_id = '', claim = '', rung_at = 0, started_at = NULL,
    finished_at = NULL, keep_until = NULL, error = NULL
WHERE id = :id RETURNING *;

-- replay_parts --
-- Has the parts of a job that did not succeed begin again.
UPDATE jobs SET state = 'queued', queue = own_queue, run_at = :now_s, expires_at = NULL,
    attempt = 0, lost = 0, cancel = FALSE, worker_id = '', claim = '', rung_at = 0,
    started_at = NULL, finished_at = NULL, keep_until = NULL, error = NULL
WHERE parent_id = :parent_id AND parent_id <> '' AND state IN ('dead', 'cancelled', 'expired')
RETURNING id;

-- count_open_parts --
-- Parts of a job that have not ended.
SELECT count(*) AS jobs FROM jobs
WHERE parent_id = :parent_id AND parent_id <> '' AND state IN ('queued', 'scheduled', 'running');

-- replace_args --
-- Gives a job other arguments.
UPDATE job_data SET args = :args WHERE job_id = :job_id;

-- clear_data --
-- Forgets how far a job was and what it gave.
UPDATE job_data SET progress = NULL, result = NULL WHERE job_id = :job_id;

-- delete_steps --
-- Forgets what a job has done.
DELETE FROM job_steps WHERE job_id = :job_id;

-- delete_events --
-- Forgets what a job has said.
DELETE FROM job_events WHERE job_id = :job_id;

-- delete_attempts --
-- Forgets the history of a job.
DELETE FROM job_attempts WHERE job_id = :job_id;

-- delete_data --
-- Deletes what is kept beside the row of a job.
DELETE FROM job_data WHERE job_id = :job_id;

-- delete_job --
-- Deletes the row of a job.
DELETE FROM jobs WHERE id = :job_id;

-- list_part_ids --
-- The parts of a job.
SELECT id FROM jobs WHERE parent_id = :parent_id AND parent_id <> '';
