-- add_recording --
-- Keeps a request and its answer, once.
INSERT INTO recordings (
    request_id, at, key_id, operation, model, streamed, status, error, cache, size, body, filled,
    answer
) VALUES (
    :request_id, :at, :key_id, :operation, :model, :streamed, :status, :error, :cache, :size, :body,
    :filled, :answer
) ON CONFLICT (request_id) DO NOTHING;

-- list_recordings --
-- Recordings without their bytes, the newest first; an empty filter lets all of them pass. ended '' is
-- any, 'ok' without failures, 'error' failures only.
SELECT request_id, at, key_id, operation, model, streamed, status, error, cache, size FROM recordings
WHERE at >= :since_s AND at <= :until_s
    AND (CAST(:after AS TEXT) = '' OR request_id < CAST(:after AS TEXT))
    AND (CAST(:key AS TEXT) = '' OR key_id = CAST(:key AS TEXT))
    AND (CAST(:model AS TEXT) = '' OR model = CAST(:model AS TEXT))
    AND (CAST(:operation AS TEXT) = '' OR operation = CAST(:operation AS TEXT))
    AND (CAST(:ended AS TEXT) = '' OR (CAST(:ended AS TEXT) = 'ok') = (error = ''))
ORDER BY request_id DESC LIMIT :limit;

-- read_recording --
-- One recording, whole.
SELECT request_id, at, key_id, operation, model, streamed, status, error, cache, size, body, filled,
    answer
FROM recordings WHERE request_id = :request_id;

-- drop_recording --
-- Deletes one recording.
DELETE FROM recordings WHERE request_id = :request_id;

-- drop_recordings --
-- Deletes a bounded number of the recordings that pass a filter.
DELETE FROM recordings WHERE request_id IN (
    SELECT request_id FROM recordings
    WHERE at >= :since_s AND at <= :until_s
        AND (CAST(:key AS TEXT) = '' OR key_id = CAST(:key AS TEXT))
        AND (CAST(:model AS TEXT) = '' OR model = CAST(:model AS TEXT))
        AND (CAST(:operation AS TEXT) = '' OR operation = CAST(:operation AS TEXT))
        AND (CAST(:ended AS TEXT) = '' OR (CAST(:ended AS TEXT) = 'ok') = (error = ''))
    ORDER BY request_id LIMIT :limit
);

-- recorded_bytes --
-- How much all recordings hold.
SELECT CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes FROM recordings;
