-- insert_audit --
-- Adds an entry with the next number. Whoever adds one holds the lock of raise_keys_version.
INSERT INTO audit (id, at, actor, action, kind, object_id, detail) VALUES (
    (SELECT coalesce(max(id), 0) + 1 FROM audit), :at, :actor, :action, :kind, :object_id, :detail
);

-- list_audit --
-- The newest entries first, those before a number; an empty word is any.
SELECT id, at, actor, action, kind, object_id, detail FROM audit
WHERE id < :before_id AND at >= :since_s AND at < :until_s
    AND (:actor = '' OR actor = :actor) AND (:action = '' OR action = :action)
    AND (:kind = '' OR kind = :kind) AND (:object_id = '' OR object_id = :object_id)
ORDER BY id DESC LIMIT :limit;

-- delete_audit --
-- The oldest entries before a moment, a few at a time. The newest of all stays: its number is the last.
DELETE FROM audit WHERE id IN (
    SELECT id FROM audit WHERE at < :before_s AND id < (SELECT max(id) FROM audit)
    ORDER BY id LIMIT :most
);
