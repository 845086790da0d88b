-- insert_experiment --
-- Adds an experiment; the caller has looked whether the name is free.
INSERT INTO experiments (
    id, name, model, unit, salt, description, state, arms, metrics, guardrails, winner, version,
    feedback, created_at, created_by, started_at, ended_at, checked_at
) VALUES (
    :id, :name, :model, :unit, :salt, :description, :state, :arms, :metrics, :guardrails, :winner,
    :version, :feedback, :created_at, :created_by, :started_at, :ended_at, 0
);

-- read_experiment --
-- One experiment, by its id or its name.
SELECT id, name, model, unit, salt, description, state, arms, metrics, guardrails, winner, version,
    feedback, created_at, created_by, started_at, ended_at
FROM experiments WHERE id = :id OR name = :id LIMIT 1;

-- lock_experiment --
-- The same; it is ours until the transaction ends.
SELECT id, name, model, unit, salt, description, state, arms, metrics, guardrails, winner, version,
    feedback, created_at, created_by, started_at, ended_at
FROM experiments WHERE id = :id OR name = :id LIMIT 1 {locked};

-- list_experiments --
-- The newest first, those after an id.
SELECT id, name, model, unit, salt, description, state, arms, metrics, guardrails, winner, version,
    feedback, created_at, created_by, started_at, ended_at
FROM experiments
WHERE (CAST(:after AS TEXT) = '' OR id < :after) AND (CAST(:state AS TEXT) = '' OR state = :state)
ORDER BY id DESC LIMIT :limit;

-- served_experiments --
-- Those that callers meet, the oldest first.
SELECT id, name, model, unit, salt, description, state, arms, metrics, guardrails, winner, version,
    feedback, created_at, created_by, started_at, ended_at
FROM experiments WHERE state <> 'draft' ORDER BY id LIMIT :limit;

-- count_experiments --
-- How many there are.
SELECT count(*) AS experiments FROM experiments;

-- rival_experiments --
-- Others that decide over the same name at present.
SELECT name FROM experiments
WHERE id <> :id AND state IN ('running', 'paused') AND :served = CASE WHEN model = '' THEN name ELSE model END
LIMIT 1;

-- update_experiment --
-- Changes what can change.
UPDATE experiments SET description = :description, state = :state, arms = :arms, winner = :winner,
    version = :version, started_at = :started_at, ended_at = :ended_at
WHERE id = :id;

-- delete_experiment --
-- Forgets an experiment whose feedback is gone.
DELETE FROM experiments WHERE id = :id;

-- take_turn --
-- Whoever changes the row may check the guardrails now; nobody else until they are due again.
UPDATE experiments SET checked_at = :now_s
WHERE id = :id AND state = 'running' AND checked_at <= :before_s;

-- insert_event --
-- Writes down a change.
INSERT INTO experiment_events (experiment_id, version, at, actor, action, reason, detail)
VALUES (:experiment_id, :version, :at, :actor, :action, :reason, :detail);

-- list_events --
-- Changes of one experiment, the newest first, those before a version.
SELECT experiment_id, version, at, actor, action, reason, detail FROM experiment_events
WHERE experiment_id = :id AND version < :before ORDER BY version DESC LIMIT :limit;

-- delete_events --
-- Forgets the changes of an experiment.
DELETE FROM experiment_events WHERE experiment_id = :id;
