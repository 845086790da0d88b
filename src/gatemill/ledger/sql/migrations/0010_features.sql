-- What is known of users and other entities, now and at any moment of the past.

-- One row for each set: features that belong to one kind of entity. Its features are a JSON array.
CREATE TABLE feature_sets (
    name TEXT PRIMARY KEY,
    entity TEXT NOT NULL,
    features TEXT NOT NULL,
    trusted BOOLEAN NOT NULL,
    source TEXT NOT NULL,
    join_key TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL
);

-- Every value that was written: it holds from event_at on, and was known from written_at on. As JSON.
CREATE TABLE feature_values (
    entity TEXT NOT NULL,
    entity_key TEXT NOT NULL,
    name TEXT NOT NULL,
    event_at DOUBLE PRECISION NOT NULL,
    written_at DOUBLE PRECISION NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (entity, entity_key, name, event_at, written_at)
);

CREATE INDEX feature_values_written ON feature_values (written_at);

-- Of those the one with the latest event, so that a request needs one short look.
CREATE TABLE feature_latest (
    entity TEXT NOT NULL,
    entity_key TEXT NOT NULL,
    name TEXT NOT NULL,
    event_at DOUBLE PRECISION NOT NULL,
    written_at DOUBLE PRECISION NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (entity, entity_key, name)
);

-- What a request was given: the training set of whoever learns from its outcome. Entities and values are
-- JSON objects; the names of the sets stand between commas, one at each end too.
CREATE TABLE feature_log (
    request_id TEXT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    key_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    sets TEXT NOT NULL,
    entities TEXT NOT NULL,
    given TEXT NOT NULL
);

CREATE INDEX feature_log_by_time ON feature_log (at);
