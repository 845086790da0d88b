-- insert_endpoint --
-- Adds an endpoint.
INSERT INTO webhook_endpoints (
    id, owner, url, description, events, seeds, given_up, disabled_at, disabled_reason, created_at
) VALUES (:id, :owner, :url, :description, :events, :seeds, 0, NULL, '', :created_at);

-- count_endpoints --
-- Endpoints of an owner.
SELECT count(*) AS rows FROM webhook_endpoints WHERE owner = :owner;

-- touch_endpoint --
-- Nobody else changes this endpoint until the transaction ends. An empty owner is anybody.
UPDATE webhook_endpoints SET id = id
WHERE id = :id AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT));

-- read_endpoint --
-- One endpoint. An empty owner is anybody.
SELECT * FROM webhook_endpoints
WHERE id = :id AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT));

-- list_endpoints --
-- Endpoints, the newest first, after an id. An empty owner is anybody.
SELECT * FROM webhook_endpoints
WHERE (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT))
    AND (CAST(:after AS TEXT) = '' OR id < CAST(:after AS TEXT))
ORDER BY id DESC LIMIT :limit;

-- subscribers --
-- Endpoints of an owner that are told of something.
SELECT id, events FROM webhook_endpoints WHERE owner = :owner AND disabled_at IS NULL ORDER BY id;

-- change_endpoint --
-- New values of all that its owner can change.
UPDATE webhook_endpoints SET url = :url, description = :description, events = :events, seeds = :seeds,
    given_up = :given_up, disabled_at = :disabled_at, disabled_reason = :disabled_reason
WHERE id = :id;

-- delete_endpoint --
-- Removes an endpoint. An empty owner is anybody.
DELETE FROM webhook_endpoints
WHERE id = :id AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT));

-- disable_endpoint --
-- The endpoint is told nothing more, unless that was so before.
UPDATE webhook_endpoints
SET disabled_at = CAST(:now_s AS DOUBLE PRECISION), disabled_reason = :reason
WHERE id = :id AND disabled_at IS NULL;

-- endpoint_given_up --
-- One more notification in a row was given up; as many as are too many disable the endpoint.
UPDATE webhook_endpoints SET given_up = given_up + 1,
    disabled_reason = CASE WHEN disabled_at IS NULL AND given_up + 1 >= CAST(:most AS BIGINT)
        THEN CAST(:reason AS TEXT) ELSE disabled_reason END,
    disabled_at = CASE WHEN disabled_at IS NULL AND given_up + 1 >= CAST(:most AS BIGINT)
        THEN CAST(:now_s AS DOUBLE PRECISION) ELSE disabled_at END
WHERE id = :id;

-- endpoint_reached --
-- A notification has arrived.
UPDATE webhook_endpoints SET given_up = 0 WHERE id = :id AND given_up <> 0;

-- insert_secret --
-- The owner's default secret, unless there is one.
INSERT INTO webhook_secrets (owner, seeds) VALUES (:owner, :seeds) ON CONFLICT (owner) DO NOTHING;

-- touch_secret --
-- Nobody else changes this secret until the transaction ends.
UPDATE webhook_secrets SET owner = owner WHERE owner = :owner;

-- read_secret --
-- The owner's default secret.
SELECT seeds FROM webhook_secrets WHERE owner = :owner;

-- change_secret --
-- The owner's default secret is another one.
UPDATE webhook_secrets SET seeds = :seeds WHERE owner = :owner;

-- list_deliveries --
-- Notifications, the newest first, after an id. Every empty value lets all pass. The span of ids keeps
-- the jobs of other kinds out of the search; the kind decides.
SELECT jobs.id, jobs.state, jobs.run_at, jobs.attempt, jobs.attempts_max, jobs.created_at,
    jobs.finished_at, jobs.error, job_data.args, job_data.result
FROM jobs JOIN job_data ON job_data.job_id = jobs.id
WHERE jobs.id > 'wh_0' AND jobs.id < 'wh_z' AND jobs.kind = 'webhook'
    AND (CAST(:owner AS TEXT) = '' OR jobs.owner = CAST(:owner AS TEXT))
    AND (CAST(:state AS TEXT) = '' OR jobs.state = CAST(:state AS TEXT))
    AND (CAST(:job AS TEXT) = '' OR substr(jobs.unique_key, 1, length(CAST(:job AS TEXT)) + 4)
        = 'wh:' || CAST(:job AS TEXT) || ':')
    AND (CAST(:endpoint AS TEXT) = ''
        OR substr(jobs.unique_key, length(jobs.unique_key) - length(CAST(:endpoint AS TEXT)))
        = ':' || CAST(:endpoint AS TEXT))
    AND (CAST(:after AS TEXT) = '' OR jobs.id < CAST(:after AS TEXT))
ORDER BY jobs.id DESC LIMIT :limit;

-- read_delivery --
-- One notification. An empty owner is anybody.
SELECT jobs.id, jobs.state, jobs.run_at, jobs.attempt, jobs.attempts_max, jobs.created_at,
    jobs.finished_at, jobs.error, job_data.args, job_data.result
FROM jobs JOIN job_data ON job_data.job_id = jobs.id
WHERE jobs.id = :id AND jobs.kind = 'webhook'
    AND (CAST(:owner AS TEXT) = '' OR jobs.owner = CAST(:owner AS TEXT));

-- hurry_delivery --
-- A notification that waits for its next try is due now. An empty owner is anybody.
UPDATE jobs SET run_at = :now_s
WHERE id = :id AND kind = 'webhook' AND state = 'scheduled'
    AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT));

-- delivery_tries --
-- What every try of a notification came to, the first one first.
SELECT name, value FROM job_steps WHERE job_id = :id AND name LIKE 'try %' ORDER BY name LIMIT :limit;
