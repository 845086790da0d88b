-- What a key may do beside models, what its requests and its team's must not hold, and who is signed in.

-- Scopes as a JSON array; '' is what a key without scopes could do before there were any.
ALTER TABLE keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '';

-- Guards as JSON; '' is none of its own.
ALTER TABLE keys ADD COLUMN guards TEXT NOT NULL DEFAULT '';

ALTER TABLE teams ADD COLUMN guards TEXT NOT NULL DEFAULT '';

-- One row for each browser that is signed in. `digest` is that of the cookie's secret; `key_id` is the
-- key it acts for, or '' where `subject` was named by an identity provider.
CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);

CREATE INDEX sessions_expiring ON sessions (expires_at);
