-- insert_model --
-- A new name, or a deleted one that is made again; changes no row when there is one.
INSERT INTO models (
    name, kind, task, description, versions, deleted, created_at, created_by, team_id
) VALUES (:name, :kind, :task, :description, 0, FALSE, :now_s, :actor, :team_id)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, task = excluded.task,
    description = excluded.description, deleted = FALSE, created_at = excluded.created_at,
    created_by = excluded.created_by, team_id = excluded.team_id
WHERE models.deleted;

-- count_models --
-- How many names there are.
SELECT count(*) AS rows FROM models WHERE NOT deleted;

-- read_model --
-- One name.
SELECT name, kind, task, description, versions, created_at, created_by, team_id FROM models
WHERE name = :name AND NOT deleted;

-- list_models --
-- All names in their order.
SELECT name, kind, task, description, versions, created_at, created_by, team_id FROM models
WHERE NOT deleted ORDER BY name LIMIT :limit;

-- move_model --
-- A name belongs to another team; '' is everybody.
UPDATE models SET team_id = :team_id WHERE name = :name AND NOT deleted;

-- next_version --
-- The number of the next version is taken.
UPDATE models SET versions = versions + 1 WHERE name = :name AND NOT deleted;

-- delete_model --
-- Forgets a name, but not the numbers it has used.
UPDATE models SET deleted = TRUE WHERE name = :name AND NOT deleted;

-- insert_version --
-- A version.
INSERT INTO model_versions (
    model, version, source, origin, engine, sha256, options, params, metrics, card, size, archived,
    created_at, created_by, template, weights
) VALUES (
    :model, :version, :source, :origin, :engine, :digest, :options, :params, :metrics, :card, :size,
    FALSE, :now_s, :actor, :template, :weights
);

-- live_amounts --
-- How many versions are served in all, how many of one name, and how many bytes they hold.
SELECT count(*) AS rows, CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes,
    CAST(coalesce(sum(CASE WHEN model = :model THEN 1 ELSE 0 END), 0) AS BIGINT) AS own
FROM model_versions WHERE NOT archived;

-- same_source --
-- A version of a name that comes from the same place, archived or not.
SELECT version FROM model_versions WHERE model = :model AND source = :source
ORDER BY version DESC LIMIT 1;

-- read_version --
-- One version, without its weights.
SELECT model, version, source, origin, engine, sha256, options, params, metrics, card, size, archived,
    created_at, created_by, template
FROM model_versions WHERE model = :model AND version = :version;

-- list_versions --
-- Versions of a name below a number, the newest first.
SELECT model, version, source, origin, engine, sha256, options, params, metrics, card, size, archived,
    created_at, created_by, template
FROM model_versions WHERE model = :model AND version < :before ORDER BY version DESC LIMIT :limit;

-- live_versions --
-- All versions that are served, without what they hold; the number of them is bounded when they are made.
SELECT model, version, source, origin, engine, sha256, options, size FROM model_versions
WHERE NOT archived ORDER BY model, version LIMIT :limit;

-- read_content --
-- What a version holds.
SELECT template, weights FROM model_versions WHERE model = :model AND version = :version;

-- archive_version --
-- A version is no longer served, and its weights are gone.
UPDATE model_versions SET archived = TRUE, weights = :nothing
WHERE model = :model AND version = :version AND NOT archived;

-- archive_versions --
-- The same for all versions of a name.
UPDATE model_versions SET archived = TRUE, weights = :nothing WHERE model = :model AND NOT archived;

-- read_alias --
-- Where an alias points.
SELECT model, alias, version, event_id, moved_at, moved_by FROM aliases
WHERE model = :model AND alias = :alias;

-- list_aliases --
-- All aliases; their number is bounded when they are made.
SELECT model, alias, version, event_id, moved_at, moved_by FROM aliases
ORDER BY model, alias LIMIT :limit;

-- aliases_of_version --
-- The aliases that point to a version.
SELECT alias FROM aliases WHERE model = :model AND version = :version ORDER BY alias LIMIT 100;

-- count_aliases --
-- How many aliases a name has.
SELECT count(*) AS rows FROM aliases WHERE model = :model;

-- put_alias --
-- An alias points to a version.
INSERT INTO aliases (model, alias, version, event_id, moved_at, moved_by)
VALUES (:model, :alias, :version, :event_id, :now_s, :actor)
ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version, event_id = excluded.event_id,
    moved_at = excluded.moved_at, moved_by = excluded.moved_by;

-- delete_alias --
-- An alias is gone.
DELETE FROM aliases WHERE model = :model AND alias = :alias;

-- delete_aliases --
-- All aliases of a name are gone.
DELETE FROM aliases WHERE model = :model;

-- next_event --
-- The number of the next event. Whoever asks holds the lock of raise_keys_version.
SELECT coalesce(max(id), 0) + 1 AS id FROM alias_events;

-- insert_event --
-- A move of an alias.
INSERT INTO alias_events (
    id, model, alias, action, from_version, to_version, before_id, reason, actor, at
) VALUES (
    :id, :model, :alias, :action, :from_version, :to_version, :before_id, :reason, :actor, :now_s
);

-- read_event --
-- One move.
SELECT id, model, alias, action, from_version, to_version, before_id, reason, actor, at
FROM alias_events WHERE id = :id;

-- list_events --
-- Moves of a name's aliases before a number, the newest first; alias '' is any.
SELECT id, model, alias, action, from_version, to_version, before_id, reason, actor, at
FROM alias_events WHERE model = :model AND id < :before
    AND (CAST(:alias AS TEXT) = '' OR alias = CAST(:alias AS TEXT))
ORDER BY id DESC LIMIT :limit;

-- delete_events --
-- Forgets the moves of a deleted name; the audit log keeps them.
DELETE FROM alias_events WHERE model = :model;
