-- insert_key --
-- Adds a key; its id and its digest are unique.
INSERT INTO keys (
    id, name, digest, models, admin, created_s, expires_s, revoked_s, user_id, team_id, limits,
    scopes, guards
) VALUES (
    :id, :name, :digest, :models, :admin, :created_s, :expires_s, NULL, :user_id, :team_id, :limits,
    :scopes, :guards
);

-- read_key --
-- One key by its public id, and what its user and its team may do. A key without a team of its own
-- has that of its user.
SELECT keys.id, keys.name, keys.models, keys.admin, keys.expires_s, keys.revoked_s, keys.created_s,
    keys.user_id, keys.team_id AS own_team_id, keys.limits, keys.scopes, keys.guards,
    users.team_id AS user_team_id, users.limits AS user_limits, teams.limits AS team_limits,
    teams.guards AS team_guards
FROM keys
LEFT JOIN users ON users.id = keys.user_id
LEFT JOIN teams ON teams.id =
    CASE WHEN keys.team_id <> '' THEN keys.team_id ELSE users.team_id END
WHERE keys.id = :id;

-- update_key --
-- Changes what a key is called, may do and belongs to.
UPDATE keys SET name = :name, models = :models, limits = :limits, user_id = :user_id,
    team_id = :team_id, scopes = :scopes, guards = :guards
WHERE id = :id;

-- end_key --
-- Sets the moment from which a key no longer works, unless it ends earlier already.
UPDATE keys SET revoked_s = :revoked_s
WHERE id = :id AND (revoked_s IS NULL OR revoked_s > :revoked_s);

-- raise_keys_version --
-- Tells every process that keys, users or teams have changed. The first statement of each such
-- change: on Postgres, it also makes the others wait.
UPDATE keys_version SET version = version + 1 WHERE id = 1;

-- hold_keys_version --
-- Makes other such changes wait until this transaction ends, and tells nobody.
UPDATE keys_version SET version = version WHERE id = 1;

-- read_keys_version --
-- The number of the keys' present state.
SELECT version FROM keys_version WHERE id = 1;

-- count_live_keys --
-- Keys that work now or will.
SELECT count(*) AS keys FROM keys
WHERE (revoked_s IS NULL OR revoked_s > :now_s) AND (expires_s IS NULL OR expires_s > :now_s);

-- load_keys --
-- Every key a process has to know, with its digest: those that live, and the lately dead, so that a
-- caller can be told why.
SELECT keys.id, keys.name, keys.digest, keys.models, keys.admin, keys.expires_s, keys.revoked_s,
    keys.created_s, keys.user_id, keys.team_id AS own_team_id, keys.limits,
    keys.scopes, keys.guards, users.team_id AS user_team_id, users.limits AS user_limits,
    teams.limits AS team_limits, teams.guards AS team_guards
FROM keys
LEFT JOIN users ON users.id = keys.user_id
LEFT JOIN teams ON teams.id =
    CASE WHEN keys.team_id <> '' THEN keys.team_id ELSE users.team_id END
WHERE (keys.revoked_s IS NULL OR keys.revoked_s > :dead_since_s)
    AND (keys.expires_s IS NULL OR keys.expires_s > :dead_since_s);

-- find_admin --
-- An admin key that works now or will; of a moment before all keys: one that ever did.
SELECT id FROM keys
WHERE admin AND (revoked_s IS NULL OR revoked_s > :now_s) AND (expires_s IS NULL OR expires_s > :now_s)
LIMIT 1;

-- list_keys --
-- Keys for people, newest first, with the time of the last attempt made with each.
SELECT keys.id, keys.name, keys.models, keys.admin, keys.expires_s, keys.revoked_s, keys.created_s,
    keys.user_id, keys.team_id AS own_team_id, keys.limits, keys.scopes, keys.guards,
    users.team_id AS user_team_id, users.limits AS user_limits, teams.limits AS team_limits,
    teams.guards AS team_guards,
    (SELECT max(at) FROM usage WHERE usage.key_id = keys.id) AS last_used_s
FROM keys
LEFT JOIN users ON users.id = keys.user_id
LEFT JOIN teams ON teams.id =
    CASE WHEN keys.team_id <> '' THEN keys.team_id ELSE users.team_id END
ORDER BY keys.created_s DESC, keys.id LIMIT :limit;

-- last_use --
-- The time of the last attempt made with a key, NULL when there is none.
SELECT max(at) AS last_used_s FROM usage WHERE key_id = :key_id;

-- search_keys --
-- A page of keys, the newest first, with the time of the last attempt made with each; empty words let
-- all of them pass. A key is found by its name, and by its id or that of its user or team.
SELECT keys.id, keys.name, keys.models, keys.admin, keys.expires_s, keys.revoked_s, keys.created_s,
    keys.user_id, keys.team_id AS own_team_id, keys.limits, keys.scopes, keys.guards,
    users.team_id AS user_team_id, users.limits AS user_limits, teams.limits AS team_limits,
    teams.guards AS team_guards,
    (SELECT max(at) FROM usage WHERE usage.key_id = keys.id) AS last_used_s
FROM keys
LEFT JOIN users ON users.id = keys.user_id
LEFT JOIN teams ON teams.id =
    CASE WHEN keys.team_id <> '' THEN keys.team_id ELSE users.team_id END
WHERE keys.id IN (
    SELECT keys.id FROM keys LEFT JOIN users ON users.id = keys.user_id
    WHERE (keys.created_s < :before_s OR (keys.created_s = :before_s AND keys.id < :before_id))
        AND (CAST(:words AS TEXT) = '' OR lower(keys.name) LIKE :pattern ESCAPE '!' OR keys.id = :words
            OR keys.user_id = :words OR keys.team_id = :words)
        AND (CAST(:user AS TEXT) = '' OR keys.user_id = :user)
        AND (CAST(:team AS TEXT) = '' OR keys.team_id = :team
            OR (keys.team_id = '' AND users.team_id = :team))
        AND (CAST(:state AS TEXT) <> 'live' OR (
            (keys.revoked_s IS NULL OR keys.revoked_s > :now_s)
            AND (keys.expires_s IS NULL OR keys.expires_s > :now_s)))
        AND (CAST(:state AS TEXT) <> 'ended'
            OR keys.revoked_s <= :now_s OR keys.expires_s <= :now_s)
    ORDER BY keys.created_s DESC, keys.id DESC LIMIT :limit
)
ORDER BY keys.created_s DESC, keys.id DESC LIMIT :limit;
