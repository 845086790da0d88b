-- take_claim --
-- Claims a request that nobody has claimed, or whose claim or answer has expired.
INSERT INTO idempotency (
    key_id, idempotency_key, fingerprint, request_id, state, owner, status, headers, body,
    created_s, until_s
) VALUES (
    :key_id, :idempotency_key, :fingerprint, :request_id, 'running', :owner, 0, '[]', :nothing,
    :now_s, :until_s
) ON CONFLICT (key_id, idempotency_key) DO UPDATE SET
    fingerprint = excluded.fingerprint, request_id = excluded.request_id, state = 'running',
    owner = excluded.owner, status = 0, headers = '[]', body = excluded.body,
    created_s = excluded.created_s, until_s = excluded.until_s
WHERE idempotency.until_s <= excluded.created_s;

-- read_claim --
-- The claim or the answer that is there.
SELECT fingerprint, state, status, headers, body, created_s FROM idempotency
WHERE key_id = :key_id AND idempotency_key = :idempotency_key;

-- finish_claim --
-- Stores the answer of a running request, unless its claim was lost to another.
UPDATE idempotency SET state = 'done', status = :status, headers = :headers, body = :body,
    until_s = :until_s
WHERE key_id = :key_id AND idempotency_key = :idempotency_key AND request_id = :request_id
    AND state = 'running';

-- drop_claim --
-- Forgets a running request that has no answer worth keeping.
DELETE FROM idempotency
WHERE key_id = :key_id AND idempotency_key = :idempotency_key AND request_id = :request_id
    AND state = 'running';

-- drop_owner --
-- Forgets the running requests of a process that has ended.
DELETE FROM idempotency WHERE owner = :owner AND state = 'running';

-- drop_expired --
-- Deletes a bounded number of claims and answers that nobody will be given any more.
DELETE FROM idempotency WHERE (key_id, idempotency_key) IN (
    SELECT key_id, idempotency_key FROM idempotency WHERE until_s <= :now_s
    ORDER BY until_s LIMIT :limit
);
