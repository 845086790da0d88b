-- Jobs: work that outlives a request, who runs it, and what it cost.

-- The job on whose behalf an attempt was made, so that the cost of a job is the sum of its rows.
ALTER TABLE usage ADD COLUMN job_id TEXT NOT NULL DEFAULT '';

CREATE INDEX usage_by_job ON usage (job_id) WHERE job_id <> '';

-- One row for each job; core.job.Job says what the columns mean. Times are Unix seconds. What is long
-- stands in job_data, so that the row which changes at every step stays small. `own_queue` is the queue of
-- its kind, also while it is in quarantine; `starts` counts all starts, `attempt` those that count;
-- `claim` is that of the last start; `rung_at` is 0 until a broker was told.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    own_queue TEXT NOT NULL,
    priority BIGINT NOT NULL,
    state TEXT NOT NULL,
    run_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    attempt BIGINT NOT NULL,
    attempts_max BIGINT NOT NULL,
    starts BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    timeout_s DOUBLE PRECISION NOT NULL,
    keep_s DOUBLE PRECISION NOT NULL,
    cancel BOOLEAN NOT NULL,
    unique_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    metadata TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    part BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    parts_open BIGINT NOT NULL,
    notify BOOLEAN NOT NULL,
    worker_id TEXT NOT NULL,
    claim TEXT NOT NULL,
    rung_at DOUBLE PRECISION NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    started_at DOUBLE PRECISION,
    finished_at DOUBLE PRECISION,
    keep_until DOUBLE PRECISION,
    error TEXT
);

-- What a worker may claim, best first; and the longest waiting first, for the one in twenty starts that
-- goes by age.
CREATE INDEX jobs_ready ON jobs (queue, priority, run_at, id) WHERE state = 'queued';

CREATE INDEX jobs_oldest ON jobs (queue, run_at, id) WHERE state = 'queued';

CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'scheduled' AND parts_open = 0;

CREATE INDEX jobs_unrung ON jobs (rung_at) WHERE state = 'queued';

CREATE INDEX jobs_expiring ON jobs (expires_at)
    WHERE expires_at IS NOT NULL AND state IN ('queued', 'scheduled');

CREATE INDEX jobs_running ON jobs (worker_id, claim) WHERE state = 'running';

CREATE INDEX jobs_busy ON jobs (queue, owner) WHERE state = 'running';

-- What has not ended: how much of it an owner has, and how much there is by queue, priority and state.
CREATE INDEX jobs_open ON jobs (owner, state, queue, priority, run_at)
    WHERE state IN ('queued', 'scheduled', 'running');

CREATE UNIQUE INDEX jobs_unique ON jobs (owner, unique_key) WHERE unique_key <> '';

CREATE INDEX jobs_parts ON jobs (parent_id, part) WHERE parent_id <> '';

CREATE INDEX jobs_by_owner ON jobs (owner, id);

-- For lists of any one state. An expression, because SQLite would take an index of the bare column for
-- the statements above, which have better ones.
CREATE INDEX jobs_by_state ON jobs (lower(state), id);

CREATE INDEX jobs_dead ON jobs (owner, id) WHERE state = 'dead';

CREATE INDEX jobs_kept ON jobs (keep_until) WHERE keep_until IS NOT NULL;

-- What is long: the arguments, how far it is, the result. All three are JSON.
CREATE TABLE job_data (
    job_id TEXT PRIMARY KEY,
    args BYTEA NOT NULL,
    progress TEXT,
    result BYTEA
);

-- Every start of a job that has ended, for whoever asks why it died.
CREATE TABLE job_attempts (
    job_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    worker_id TEXT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (job_id, number)
);

-- What a job has done already and need not do again: a name and JSON.
CREATE TABLE job_steps (
    job_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (job_id, name)
);

-- What a job has said so far, in order: whole server-sent events of a streamed answer.
CREATE TABLE job_events (
    job_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (job_id, number)
);

-- Who runs jobs. A worker that is silent for longer than its lease is dead, and its jobs are taken back.
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    pid_started BIGINT NOT NULL,
    queues TEXT NOT NULL,
    slots BIGINT NOT NULL,
    running BIGINT NOT NULL,
    lease_s DOUBLE PRECISION NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    beat_at DOUBLE PRECISION NOT NULL
);

-- What all workers together may do in one queue; a row exists where there is or was a limit or a pause.
-- A worker that starts a job where there is a limit locks the row first.
CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    paused BOOLEAN NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    filled_at DOUBLE PRECISION NOT NULL
);
