-- list_sets --
-- All feature sets; there are never more than a few hundred.
SELECT name, entity, features, trusted, source, join_key, created_at, updated_at FROM feature_sets
ORDER BY name LIMIT :limit;

-- put_set --
-- Makes a feature set, or replaces the one of this name.
INSERT INTO feature_sets (
    name, entity, features, trusted, source, join_key, created_at, updated_at
) VALUES (
    :name, :entity, :features, :trusted, :source, :join_key, :created_at, :updated_at
) ON CONFLICT (name) DO UPDATE SET
    entity = excluded.entity, features = excluded.features, trusted = excluded.trusted,
    source = excluded.source, join_key = excluded.join_key, updated_at = excluded.updated_at;

-- delete_set --
-- Forgets a feature set; its values are deleted piece by piece after that.
DELETE FROM feature_sets WHERE name = :name;

-- add_value --
-- Adds a value to the history; the same moment of the event, written at the same time, is corrected.
INSERT INTO feature_values (entity, entity_key, name, event_at, written_at, value) VALUES (
    :entity, :entity_key, :name, :event_at, :written_at, :value
) ON CONFLICT (entity, entity_key, name, event_at, written_at) DO UPDATE SET value = excluded.value;

-- raise_latest --
-- The latest event wins, however late its value comes; of two for the same moment the one written later.
INSERT INTO feature_latest (entity, entity_key, name, event_at, written_at, value) VALUES (
    :entity, :entity_key, :name, :event_at, :written_at, :value
) ON CONFLICT (entity, entity_key, name) DO UPDATE SET
    event_at = excluded.event_at, written_at = excluded.written_at, value = excluded.value
WHERE excluded.event_at > feature_latest.event_at OR (
    excluded.event_at = feature_latest.event_at AND excluded.written_at >= feature_latest.written_at
);

-- latest_values --
-- What is known of one entity: as many values as it has features.
SELECT name, event_at, written_at, value FROM feature_latest
WHERE entity = :entity AND entity_key = :entity_key;

-- value_at --
-- The value that held at one moment, of those that were written by another.
SELECT event_at, written_at, value FROM feature_values
WHERE entity = :entity AND entity_key = :entity_key AND name = :name
    AND event_at <= :as_of AND written_at <= :known_by
ORDER BY event_at DESC, written_at DESC LIMIT 1;

-- drop_old_values --
-- Deletes a bounded number of values from the history, those written first.
DELETE FROM feature_values WHERE (entity, entity_key, name, event_at, written_at) IN (
    SELECT entity, entity_key, name, event_at, written_at FROM feature_values
    WHERE written_at < :before_s ORDER BY written_at LIMIT :limit
);

-- drop_history --
-- Deletes a bounded number of the values of a feature that no set has any more.
DELETE FROM feature_values WHERE (entity, entity_key, name, event_at, written_at) IN (
    SELECT entity, entity_key, name, event_at, written_at FROM feature_values
    WHERE entity = :entity AND name = :name LIMIT :limit
);

-- drop_latest --
-- Deletes a bounded number of the present values of a feature that no set has any more.
DELETE FROM feature_latest WHERE (entity, entity_key, name) IN (
    SELECT entity, entity_key, name FROM feature_latest
    WHERE entity = :entity AND name = :name LIMIT :limit
);

-- add_log --
-- Notes what a request was given, once.
INSERT INTO feature_log (request_id, at, key_id, operation, model, sets, entities, given) VALUES (
    :request_id, :at, :key_id, :operation, :model, :sets, :entities, :given
) ON CONFLICT (request_id) DO NOTHING;

-- list_log --
-- What requests were given, the newest first, in a span of time; set '' is any, after '' from the start.
SELECT request_id, at, key_id, operation, model, sets, entities, given FROM feature_log
WHERE at >= :since_s AND at <= :until_s
    AND (CAST(:after AS TEXT) = '' OR request_id < CAST(:after AS TEXT))
    AND (CAST(:wanted AS TEXT) = '' OR replace(sets, CAST(:wanted AS TEXT), '') <> sets)
ORDER BY request_id DESC LIMIT :limit;

-- log_edge --
-- The moment of the entry that has so many newer ones.
SELECT at FROM feature_log ORDER BY at DESC LIMIT 1 OFFSET :most;

-- drop_log --
-- Deletes a bounded number of entries up to a moment, the oldest first.
DELETE FROM feature_log WHERE request_id IN (
    SELECT request_id FROM feature_log WHERE at <= :before_s ORDER BY at LIMIT :limit
);
