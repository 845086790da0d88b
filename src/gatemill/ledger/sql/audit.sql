-- insert_audit --
-- Adds an entry with the next number. Whoever adds one holds the lock of raise_keys_version.
INSERT INTO audit (id, at, actor, action, kind, object_id, detail) VALUES (
    (SELECT coalesce(max(id), 0) + 1 FROM audit), :at, :actor, :action, :kind, :object_id, :detail
);

-- list_audit --
-- The newest entries first, those before a number.
SELECT id, at, actor, action, kind, object_id, detail FROM audit
WHERE id < :before_id ORDER BY id DESC LIMIT :limit;
