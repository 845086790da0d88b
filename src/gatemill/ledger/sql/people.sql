-- insert_team --
-- Adds a team.
INSERT INTO teams (id, name, limits, created_s, guards)
VALUES (:id, :name, :limits, :created_s, :guards);

-- read_team --
-- One team by its id.
SELECT id, name, limits, created_s, guards FROM teams WHERE id = :id;

-- update_team --
-- Changes a team.
UPDATE teams SET name = :name, limits = :limits, guards = :guards WHERE id = :id;

-- delete_team --
-- Removes a team.
DELETE FROM teams WHERE id = :id;

-- list_teams --
-- Teams in the order of their ids.
SELECT id, name, limits, created_s, guards FROM teams ORDER BY id LIMIT :limit;

-- count_teams --
-- All teams.
SELECT count(*) AS rows FROM teams;

-- count_members --
-- Users of a team, and keys that name it and work now or will.
SELECT
    (SELECT count(*) FROM users WHERE team_id = :id) AS users,
    (SELECT count(*) FROM keys WHERE team_id = :id
        AND (revoked_s IS NULL OR revoked_s > :now_s)
        AND (expires_s IS NULL OR expires_s > :now_s)) AS keys;

-- insert_user --
-- Adds a user.
INSERT INTO users (id, name, team_id, limits, created_s)
VALUES (:id, :name, :team_id, :limits, :created_s);

-- read_user --
-- One user by its id.
SELECT id, name, team_id, limits, created_s FROM users WHERE id = :id;

-- update_user --
-- Changes a user.
UPDATE users SET name = :name, team_id = :team_id, limits = :limits WHERE id = :id;

-- delete_user --
-- Removes a user.
DELETE FROM users WHERE id = :id;

-- list_users --
-- Users in the order of their ids.
SELECT id, name, team_id, limits, created_s FROM users ORDER BY id LIMIT :limit;

-- count_users --
-- All users.
SELECT count(*) AS rows FROM users;

-- count_user_keys --
-- A user's keys that work now or will.
SELECT count(*) AS keys FROM keys
WHERE user_id = :id AND (revoked_s IS NULL OR revoked_s > :now_s)
    AND (expires_s IS NULL OR expires_s > :now_s);
