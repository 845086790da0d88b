-- What was wrong with this installation, from when until when, and who is still to be told of it.

-- One row for each time that a rule was broken. `subject` is the target, model or queue that it is about,
-- or ''. `seen_s` is when some process saw it last: nobody has for a while, and it is over. Unix times.
CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    threshold DOUBLE PRECISION NOT NULL,
    since_s DOUBLE PRECISION NOT NULL,
    opened_s DOUBLE PRECISION NOT NULL,
    seen_s DOUBLE PRECISION NOT NULL,
    closed_s DOUBLE PRECISION
);

-- Several processes see the same thing; the first one opens it.
CREATE UNIQUE INDEX incidents_open ON incidents (name, subject) WHERE closed_s IS NULL;

CREATE INDEX incidents_by_time ON incidents (opened_s, id);

-- Messages to the webhook: 'alert.opened' and, after it, 'alert.closed'.
CREATE TABLE incident_notices (
    incident_id TEXT NOT NULL,
    event TEXT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL,
    delivered_s DOUBLE PRECISION,
    tries BIGINT NOT NULL,
    next_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (incident_id, event)
);

CREATE INDEX incident_notices_due ON incident_notices (next_s) WHERE delivered_s IS NULL;
