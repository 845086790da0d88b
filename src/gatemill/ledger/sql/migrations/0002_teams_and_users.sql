-- Teams, users, limits, and who changed what.
-- Rule: limits are the JSON of core.limits.Limits, '{}' where nothing is limited; '' is no team or user.

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL
);

CREATE INDEX users_by_team ON users (team_id);

ALTER TABLE keys ADD COLUMN user_id TEXT NOT NULL DEFAULT '';

ALTER TABLE keys ADD COLUMN team_id TEXT NOT NULL DEFAULT '';

ALTER TABLE keys ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';

-- Every change of a key, a user or a team; added in the transaction of the change, never changed.
CREATE TABLE audit (
    id BIGINT NOT NULL PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    detail TEXT NOT NULL
);
