-- Which version of a model and of a prompt answered, and in which experiment.

ALTER TABLE usage ADD COLUMN experiment_id TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN model_version TEXT NOT NULL DEFAULT '';

ALTER TABLE usage ADD COLUMN prompt_version TEXT NOT NULL DEFAULT '';

CREATE INDEX usage_by_experiment ON usage (experiment_id, at) WHERE experiment_id <> '';

-- A number for each room, raised in the transaction that changes what the room keeps: other processes
-- look at it once a second and read anew when it has risen.
CREATE TABLE revisions (
    room TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
