-- Webhooks: who is told of what, and with which secrets it is signed. What is told is a job of kind
-- "webhook".

-- One row for each endpoint. `events` and `seeds` are JSON: patterns of event types; and what the secrets
-- are derived from, with the pepper, and until when the replaced ones still sign. No secret is stored.
CREATE TABLE webhook_endpoints (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    events TEXT NOT NULL,
    seeds TEXT NOT NULL,
    given_up BIGINT NOT NULL,
    disabled_at DOUBLE PRECISION,
    disabled_reason TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);

CREATE INDEX webhook_endpoints_by_owner ON webhook_endpoints (owner, id);

-- The secret of what goes to the callback URL of a job; a row exists once there was such a job.
CREATE TABLE webhook_secrets (
    owner TEXT PRIMARY KEY,
    seeds TEXT NOT NULL
);
