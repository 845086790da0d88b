-- insert_key --
-- Adds a key; its id and its digest are unique.
INSERT INTO keys (id, name, digest, models, admin, created_s, expires_s, revoked_s)
VALUES (:id, :name, :digest, :models, :admin, :created_s, :expires_s, NULL);

-- read_key --
-- One key by its public id.
SELECT id, name, models, admin, expires_s, revoked_s, created_s FROM keys WHERE id = :id;

-- end_key --
-- Sets the moment from which a key no longer works, unless it ends earlier already.
UPDATE keys SET revoked_s = :revoked_s
WHERE id = :id AND (revoked_s IS NULL OR revoked_s > :revoked_s);

-- raise_keys_version --
-- Tells every process that keys have changed; belongs in the transaction of the change.
UPDATE keys_version SET version = version + 1 WHERE id = 1;

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
SELECT id, name, digest, models, admin, expires_s, revoked_s, created_s FROM keys
WHERE (revoked_s IS NULL OR revoked_s > :dead_since_s)
    AND (expires_s IS NULL OR expires_s > :dead_since_s);

-- list_keys --
-- Keys for people, newest first, with the time of the last attempt made with each.
SELECT id, name, models, admin, expires_s, revoked_s, created_s,
    (SELECT max(at) FROM usage WHERE usage.key_id = keys.id) AS last_used_s
FROM keys ORDER BY created_s DESC, id LIMIT :limit;
