"""What is kept where, for how long, and what a purge does with it. Rule: a row for each table, proven by a test."""

from __future__ import annotations

from msgspec import Struct


class Kept(Struct, frozen=True):
    """One table."""

    table: str
    holds: str
    until: str  # when it goes by itself; an option stands between backquotes
    purge: str  # what `purge` does: "deleted", "user removed" or "stays"


_DELETED, _STAYS = "deleted", "stays"
_FOR_EVER = "somebody deletes it"
_JOB = "`jobs.keep_days` after the job's end"
_FILE = "`files.keep_days`, or as its owner said"
_STORE = "its document or store is deleted"

TABLES = (
    Kept("alerts", "which budget was nearly spent", "400 days", "those of a user: deleted"),
    Kept("alias_events", "who moved an alias, when, why", _FOR_EVER, _STAYS),
    Kept("aliases", "which version a name means", _FOR_EVER, _STAYS),
    Kept("audit", "who changed what", "`stores.audit_retention_days`", _STAYS),
    Kept("batch_results", "answers of a batch, line by line", "the batch ends", _DELETED),
    Kept("batches", "what was asked of a batch", _FILE, _DELETED),
    Kept("chunk_vectors", "vectors of passages", _STORE, _DELETED),
    Kept("chunks", "passages of documents", _STORE, _DELETED),
    Kept("documents", "titles and attributes", _STORE, _DELETED),
    Kept("experiment_events", "who changed an experiment", _FOR_EVER, _STAYS),
    Kept("experiments", "arms and metrics", _FOR_EVER, _STAYS),
    Kept("facts", "values of the database itself", "never", _STAYS),
    Kept("feature_latest", "what is known of an entity", _FOR_EVER, "those of a user: deleted"),
    Kept("feature_log", "what requests were given", "`features.log_days`", _DELETED),
    Kept("feature_sets", "names and types of features", _FOR_EVER, _STAYS),
    Kept(
        "feature_values",
        "what was known in the past",
        "`features.history_days`",
        "those of a user: deleted",
    ),
    Kept("feedback", "values that callers said", _FOR_EVER, "those of a user: deleted"),
    Kept("file_chunks", "bytes of files", _FILE, _DELETED),
    Kept("files", "names and sizes of files", _FILE, _DELETED),
    Kept("idempotency", "answers for repeated requests", "`idempotency.keep_s`", _DELETED),
    Kept("incident_notices", "messages about incidents", "90 days", _STAYS),
    Kept("incidents", "what was wrong with this installation, and when", "90 days", _STAYS),
    Kept("job_attempts", "outcome and error of each start", _JOB, _DELETED),
    Kept("job_data", "arguments, progress, results", _JOB, _DELETED),
    Kept("job_events", "streamed answers", _JOB, _DELETED),
    Kept("job_steps", "what a job need not do again", _JOB, _DELETED),
    Kept("jobs", "state, error, metadata, callback URL", _JOB, _DELETED),
    Kept("keys", "names, digests and limits; no secret", "never", _STAYS),
    Kept("keys_version", "a number", "never", _STAYS),
    Kept("knowledge_numbers", "two numbers", "never", _STAYS),
    Kept("latency_sums", "how many took how long, by minute, hour and day", "days: never", _STAYS),
    Kept("migrations", "the version of the schema", "never", _STAYS),
    Kept("model_versions", "cards, parameters, weights of heads", _FOR_EVER, _STAYS),
    Kept("models", "names and descriptions", _FOR_EVER, _STAYS),
    Kept("queues", "which queue is paused", "never", _STAYS),
    Kept("recordings", "requests and answers, whole", "`recordings.keep_days`", _DELETED),
    Kept("revisions", "numbers", "never", _STAYS),
    Kept("sessions", "who is signed in; no secret", "the session ends", _DELETED),
    Kept(
        "signin_links",
        "links that sign in once; no secret",
        "30 minutes",
        "those of a key: deleted",
    ),
    Kept("store_batches", "which files came together", "its store is deleted", _DELETED),
    Kept("teams", "names and limits", _FOR_EVER, _STAYS),
    Kept(
        "usage",
        "tokens, cost, times; no text",
        "`stores.usage_retention_days`",
        "the user's id: removed",
    ),
    Kept("usage_kept", "a number", "never", _STAYS),
    Kept("usage_sums", "sums by minute, hour and day", "days: never", "the user's id: removed"),
    Kept("users", "names and limits", _FOR_EVER, _STAYS),
    Kept("vector_stores", "names and descriptions", "`expires_after`, if given", _DELETED),
    Kept("webhook_endpoints", "URLs; no secret", _FOR_EVER, _STAYS),
    Kept("webhook_secrets", "what secrets are derived from", "never", _STAYS),
    Kept("workers", "who runs jobs", "the worker ends", _STAYS),
)
