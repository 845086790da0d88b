-- keys_of_user --
-- The keys that a user holds now.
SELECT id FROM keys WHERE user_id = :user ORDER BY id;

-- keys_once_of_user --
-- The keys under which requests of a user are in the sums.
SELECT DISTINCT key_id AS id FROM usage_sums WHERE user_id = :user;

-- key_is_there --
-- Whether there is or was such a key.
SELECT id FROM keys WHERE id = :key;

-- count_recordings_of_key --
-- How many recordings are a key's.
SELECT count(*) AS rows FROM recordings WHERE key_id = :key;

-- drop_recordings_of_key --
-- Deletes a bounded number of them.
DELETE FROM recordings WHERE request_id IN (
    SELECT request_id FROM recordings WHERE key_id = :key LIMIT :limit
);

-- count_recordings_before --
-- How many recordings are older than a moment.
SELECT count(*) AS rows FROM recordings WHERE at < :before_s;

-- drop_recordings_before --
-- Deletes a bounded number of them.
DELETE FROM recordings WHERE request_id IN (
    SELECT request_id FROM recordings WHERE at < :before_s ORDER BY at LIMIT :limit
);

-- count_idempotency_of_key --
-- How many answers for repeated requests are a key's.
SELECT count(*) AS rows FROM idempotency WHERE key_id = :key AND state = 'done';

-- drop_idempotency_of_key --
-- Deletes a bounded number of them.
DELETE FROM idempotency WHERE (key_id, idempotency_key) IN (
    SELECT key_id, idempotency_key FROM idempotency WHERE key_id = :key AND state = 'done'
    LIMIT :limit
);

-- count_idempotency_before --
-- How many answers for repeated requests are older than a moment.
SELECT count(*) AS rows FROM idempotency WHERE created_s < :before_s AND state = 'done';

-- drop_idempotency_before --
-- Deletes a bounded number of them.
DELETE FROM idempotency WHERE (key_id, idempotency_key) IN (
    SELECT key_id, idempotency_key FROM idempotency WHERE created_s < :before_s AND state = 'done'
    LIMIT :limit
);

-- count_feature_log_of_key --
-- How many notes of what requests were given are a key's.
SELECT count(*) AS rows FROM feature_log WHERE key_id = :key;

-- drop_feature_log_of_key --
-- Deletes a bounded number of them.
DELETE FROM feature_log WHERE request_id IN (
    SELECT request_id FROM feature_log WHERE key_id = :key LIMIT :limit
);

-- count_feature_log_of_user --
-- How many notes of what requests were given are about a user; `named` is the user's place in the JSON.
SELECT count(*) AS rows FROM feature_log
WHERE replace(entities, CAST(:named AS TEXT), '') <> entities
    AND key_id NOT IN (SELECT id FROM keys WHERE user_id = :user);

-- drop_feature_log_of_user --
-- Deletes a bounded number of them.
DELETE FROM feature_log WHERE request_id IN (
    SELECT request_id FROM feature_log
    WHERE replace(entities, CAST(:named AS TEXT), '') <> entities LIMIT :limit
);

-- count_feature_log_before --
-- How many notes of what requests were given are older than a moment.
SELECT count(*) AS rows FROM feature_log WHERE at < :before_s;

-- drop_feature_log_before --
-- Deletes a bounded number of them.
DELETE FROM feature_log WHERE request_id IN (
    SELECT request_id FROM feature_log WHERE at < :before_s ORDER BY at LIMIT :limit
);

-- count_feature_values_of_user --
-- How many values of the past are of a user.
SELECT count(*) AS rows FROM feature_values WHERE entity = 'user' AND entity_key = :user;

-- drop_feature_values_of_user --
-- Deletes a bounded number of them.
DELETE FROM feature_values WHERE (entity, entity_key, name, event_at, written_at) IN (
    SELECT entity, entity_key, name, event_at, written_at FROM feature_values
    WHERE entity = 'user' AND entity_key = :user LIMIT :limit
);

-- count_feature_values_before --
-- How many values of the past were written before a moment; the present ones stand elsewhere.
SELECT count(*) AS rows FROM feature_values WHERE written_at < :before_s;

-- drop_feature_values_before --
-- Deletes a bounded number of them.
DELETE FROM feature_values WHERE (entity, entity_key, name, event_at, written_at) IN (
    SELECT entity, entity_key, name, event_at, written_at FROM feature_values
    WHERE written_at < :before_s ORDER BY written_at LIMIT :limit
);

-- count_feature_latest_of_user --
-- How many present values are of a user.
SELECT count(*) AS rows FROM feature_latest WHERE entity = 'user' AND entity_key = :user;

-- drop_feature_latest_of_user --
-- Deletes a bounded number of them.
DELETE FROM feature_latest WHERE (entity, entity_key, name) IN (
    SELECT entity, entity_key, name FROM feature_latest
    WHERE entity = 'user' AND entity_key = :user LIMIT :limit
);

-- count_sessions_of_key --
-- How many browsers are signed in with a key.
SELECT count(*) AS rows FROM sessions WHERE key_id = :key;

-- drop_sessions_of_key --
-- Signs a bounded number of them out.
DELETE FROM sessions WHERE digest IN (
    SELECT digest FROM sessions WHERE key_id = :key LIMIT :limit
);

-- count_sessions_of_user --
-- How many browsers are signed in as a user.
SELECT count(*) AS rows FROM sessions WHERE subject = :user;

-- drop_sessions_of_user --
-- Signs a bounded number of them out.
DELETE FROM sessions WHERE digest IN (
    SELECT digest FROM sessions WHERE subject = :user LIMIT :limit
);

-- count_alerts_of_user --
-- How many alerts of budgets are about a user.
SELECT count(*) AS rows FROM alerts WHERE scope = 'user' AND scope_id = :user;

-- drop_alerts_of_user --
-- Deletes a bounded number of them.
DELETE FROM alerts WHERE (scope, scope_id, period, window_start_s, share) IN (
    SELECT scope, scope_id, period, window_start_s, share FROM alerts
    WHERE scope = 'user' AND scope_id = :user LIMIT :limit
);

-- count_feedback_of_user --
-- How many outcomes are of a user, where an experiment tells users apart.
SELECT count(*) AS rows FROM feedback
WHERE unit = :user AND experiment_id IN (SELECT id FROM experiments WHERE unit = 'user');

-- find_feedback_of_user --
-- A bounded number of them.
SELECT experiment_id, mark AS id FROM feedback
WHERE unit = :user AND experiment_id IN (SELECT id FROM experiments WHERE unit = 'user')
LIMIT :limit;

-- drop_feedback --
-- Deletes an outcome.
DELETE FROM feedback WHERE experiment_id = :experiment_id AND mark = :id;

-- count_jobs_of_key --
-- How many jobs of a key have ended, without the parts of others and those of two owners.
SELECT count(*) AS rows FROM jobs
WHERE key_id = :key AND parent_id = '' AND state IN ('succeeded', 'dead', 'cancelled', 'expired')
    AND owner <> :own AND owner <> :other;

-- find_jobs_of_key --
-- A bounded number of them, in the order of their ids.
SELECT id, owner FROM jobs
WHERE key_id = :key AND parent_id = '' AND state IN ('succeeded', 'dead', 'cancelled', 'expired')
    AND owner <> :own AND owner <> :other
   
ORDER BY id LIMIT :limit;

-- count_jobs_of_owner --
-- How many jobs of an owner have ended, notifications among them.
SELECT count(*) AS rows FROM jobs
WHERE owner = :owner AND parent_id = '' AND state IN ('succeeded', 'dead', 'cancelled', 'expired');

-- find_jobs_of_owner --
-- A bounded number of them, in the order of their ids.
SELECT id, owner FROM jobs
WHERE owner = :owner AND parent_id = '' AND state IN ('succeeded', 'dead', 'cancelled', 'expired')
   
ORDER BY id LIMIT :limit;

-- count_jobs_before --
-- How many jobs ended before a moment.
SELECT count(*) AS rows FROM jobs
WHERE finished_at < :before_s AND parent_id = ''
    AND state IN ('succeeded', 'dead', 'cancelled', 'expired');

-- find_jobs_before --
-- A bounded number of them, in the order of their ids.
SELECT id, owner FROM jobs
WHERE finished_at < :before_s AND parent_id = ''
    AND state IN ('succeeded', 'dead', 'cancelled', 'expired')
ORDER BY id LIMIT :limit;

-- find_notices --
-- The notifications that tell of a job and have ended: their names begin with `first`, up to `last`.
SELECT id FROM jobs
WHERE owner = :owner AND unique_key <> '' AND unique_key >= :first AND unique_key < :last
    AND state IN ('succeeded', 'dead', 'cancelled', 'expired');

-- open_jobs_of_key --
-- How many jobs of a key have not ended.
SELECT count(*) AS rows FROM jobs
WHERE key_id = :key AND parent_id = '' AND state IN ('queued', 'scheduled', 'running')
    AND owner <> :own AND owner <> :other;

-- open_jobs_of_owner --
-- How many jobs of an owner have not ended, notifications among them.
SELECT count(*) AS rows FROM jobs
WHERE owner = :owner AND parent_id = '' AND state IN ('queued', 'scheduled', 'running');

-- count_batches_of_key --
-- How many batches of a key have ended.
SELECT count(*) AS rows FROM batches WHERE ended_at IS NOT NULL
    AND owner <> :own AND owner <> :other
    AND job_id IN (SELECT id FROM jobs WHERE key_id = :key AND kind = 'batch');

-- find_batches_of_key --
-- A bounded number of them, in the order of their ids.
SELECT id, owner, input_file_id, output_file_id, error_file_id FROM batches
WHERE ended_at IS NOT NULL
    AND owner <> :own AND owner <> :other
    AND job_id IN (SELECT id FROM jobs WHERE key_id = :key AND kind = 'batch')
ORDER BY id LIMIT :limit;

-- count_batches_of_owner --
-- How many batches of an owner have ended.
SELECT count(*) AS rows FROM batches WHERE owner = :owner AND ended_at IS NOT NULL;

-- find_batches_of_owner --
-- A bounded number of them, in the order of their ids.
SELECT id, owner, input_file_id, output_file_id, error_file_id FROM batches
WHERE owner = :owner AND ended_at IS NOT NULL ORDER BY id LIMIT :limit;

-- count_batches_before --
-- How many batches ended before a moment.
SELECT count(*) AS rows FROM batches WHERE ended_at < :before_s;

-- find_batches_before --
-- A bounded number of them, in the order of their ids.
SELECT id, owner, input_file_id, output_file_id, error_file_id FROM batches
WHERE ended_at < :before_s ORDER BY id LIMIT :limit;

-- drop_batch_results --
-- Deletes the single results of a batch.
DELETE FROM batch_results WHERE batch_id = :id;

-- drop_batch --
-- Forgets a batch.
DELETE FROM batches WHERE id = :id;

-- hide_free_file --
-- Takes a file that no open batch reads from its owner; its bytes are deleted piece by piece after that.
UPDATE files SET complete = FALSE, touched_at = 0
WHERE id = :id AND complete AND NOT EXISTS (
    SELECT 1 FROM batches WHERE batches.input_file_id = files.id AND batches.ended_at IS NULL
);

-- count_files_of_owner --
-- How many files are an owner's and read by no open batch.
SELECT count(*) AS rows FROM files WHERE owner = :owner AND complete AND NOT EXISTS (
    SELECT 1 FROM batches WHERE batches.input_file_id = files.id AND batches.ended_at IS NULL
);

-- find_files_of_owner --
-- A bounded number of them, in the order of their ids.
SELECT id FROM files WHERE owner = :owner AND complete AND NOT EXISTS (
    SELECT 1 FROM batches WHERE batches.input_file_id = files.id AND batches.ended_at IS NULL
) ORDER BY id LIMIT :limit;

-- count_files_before --
-- How many files are older than a moment and read by no open batch.
SELECT count(*) AS rows FROM files WHERE created_at < :before_s AND complete AND NOT EXISTS (
    SELECT 1 FROM batches WHERE batches.input_file_id = files.id AND batches.ended_at IS NULL
);

-- find_files_before --
-- A bounded number of them, in the order of their ids.
SELECT id FROM files WHERE created_at < :before_s AND complete AND NOT EXISTS (
    SELECT 1 FROM batches WHERE batches.input_file_id = files.id AND batches.ended_at IS NULL
) ORDER BY id LIMIT :limit;

-- count_vector_stores_of_owner --
-- How many vector stores are an owner's.
SELECT count(*) AS rows FROM vector_stores WHERE owner = :owner AND NOT gone;

-- find_vector_stores_of_owner --
-- A bounded number of them, in the order of their ids.
SELECT id, owner FROM vector_stores WHERE owner = :owner AND NOT gone
ORDER BY id LIMIT :limit;

-- count_usage_of_user --
-- How many attempts name a user.
SELECT CAST(coalesce(sum(attempts), 0) AS BIGINT) AS rows FROM usage_sums
WHERE user_id = :user AND span_s = 60;

-- forget_user --
-- Takes the user out of a bounded number of the attempts of a key.
UPDATE usage SET user_id = '' WHERE attempt_id IN (
    SELECT attempt_id FROM usage WHERE key_id = :key AND user_id = :user LIMIT :limit
);

-- sums_of_user --
-- A bounded number of the sums that name a user.
SELECT span_s, start_s, key_id, user_id, team_id, model, provider, target_model, operation, version,
    cache, requests, attempts, failed, unpriced, estimated, input_tokens, cache_read_tokens,
    cache_write_tokens, input_audio_tokens, output_tokens, reasoning_tokens, output_audio_tokens,
    cost_microusd, latency_us, first_tokens, first_token_us
FROM usage_sums WHERE user_id = :user LIMIT :limit;

-- drop_sum --
-- Deletes a sum.
DELETE FROM usage_sums
WHERE span_s = :span_s AND start_s = :start_s AND key_id = :key_id AND user_id = :user_id
    AND team_id = :team_id AND model = :model AND provider = :provider
    AND target_model = :target_model AND operation = :operation AND version = :version
    AND cache = :cache;

-- count_usage_before --
-- How many attempts begun before a moment there are.
SELECT count(*) AS rows FROM usage WHERE at < :before_s;
