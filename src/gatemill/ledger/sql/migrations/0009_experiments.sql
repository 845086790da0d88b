-- Experiments, who changed them and why, and what callers said of the answers.

-- One row for each experiment. Arms, metrics and guardrails are JSON; `version` rises with each change;
-- `feedback` counts the rows of that table, so that they have a bound.
CREATE TABLE experiments (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    unit TEXT NOT NULL,
    salt TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    arms TEXT NOT NULL,
    metrics TEXT NOT NULL,
    guardrails TEXT NOT NULL,
    winner TEXT NOT NULL,
    version BIGINT NOT NULL,
    feedback BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    created_by TEXT NOT NULL,
    started_at DOUBLE PRECISION,
    ended_at DOUBLE PRECISION,
    checked_at DOUBLE PRECISION NOT NULL
);

-- One row for each change: the experiment's version after it, who, and why.
CREATE TABLE experiment_events (
    experiment_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (experiment_id, version)
);

-- One row for each outcome. `mark` makes it one: a name of the caller's, or request and metric.
CREATE TABLE feedback (
    experiment_id TEXT NOT NULL,
    mark TEXT NOT NULL,
    metric TEXT NOT NULL,
    arm TEXT NOT NULL,
    unit TEXT NOT NULL,
    request_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (experiment_id, mark)
);

CREATE INDEX feedback_by_unit ON feedback (experiment_id, metric, arm, unit);
