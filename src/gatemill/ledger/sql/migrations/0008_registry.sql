-- Models and prompts of one's own: numbered versions that never change, and aliases that move.

-- One row for each name. `versions` counts the numbers given out, so that none is given twice, not even
-- after the name was deleted and made again. The task of a prompt is ''.
CREATE TABLE models (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    task TEXT NOT NULL,
    description TEXT NOT NULL,
    versions BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    created_by TEXT NOT NULL
);

-- One row for each version. `origin` is what the caller named, `source` where it is now; options, params
-- and metrics are JSON; a prompt is the JSON in `template`, a head the safetensors in `weights`, and
-- `size` are the bytes of both. An archived version is no longer served, and its weights are gone.
CREATE TABLE model_versions (
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    source TEXT NOT NULL,
    origin TEXT NOT NULL,
    engine TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    options TEXT NOT NULL,
    params TEXT NOT NULL,
    metrics TEXT NOT NULL,
    card TEXT NOT NULL,
    size BIGINT NOT NULL,
    archived BOOLEAN NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    created_by TEXT NOT NULL,
    template TEXT NOT NULL,
    weights BYTEA NOT NULL,
    PRIMARY KEY (model, version)
);

CREATE INDEX model_versions_live ON model_versions (model, version) WHERE NOT archived;

-- Which version a name with an alias means now. `event_id` is the event that put it there: a rollback
-- goes on from it.
CREATE TABLE aliases (
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    version BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    moved_at DOUBLE PRECISION NOT NULL,
    moved_by TEXT NOT NULL,
    PRIMARY KEY (model, alias)
);

-- Each move of an alias. `before_id` is the event that had put the version in force before, 0 for none;
-- a version of 0 is none.
CREATE TABLE alias_events (
    id BIGINT PRIMARY KEY,
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    action TEXT NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT NOT NULL,
    before_id BIGINT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL
);

CREATE INDEX alias_events_by_model ON alias_events (model, id);
