"""What the document says of jobs. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.core.job import PRIORITIES, STATES
from gatemill.describe import headers
from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import Json, flag, string, whole, word

_OWN = " A job of somebody else is one that is not there; an admin key sees all."
_JOBS, _OPENAI, _GATEMILL = "Jobs", "OpenAI", "Gatemill"
_BODY = (400, 408, 413, 415)
_TAKEN = (*_BODY, 404, 422, 429)  # what a job may be refused with
_MOMENT = "seconds of Unix time, a date, or so long ago, such as `7d`"
_JOB = path_parameter("job_id", "The job's id.", "job_01934b2fd5e8000001a3f0c2d4b5e69788")
_TASK = path_parameter("task_id", "The job's id.", "job_01934b2fd5e8000001a3f0c2d4b5e69788")
_RESPONSE = path_parameter(
    "response_id", "The response's id.", "resp_01934b2fd5e8000001a3f0c2d4b5e69788"
)
_QUEUE = path_parameter("name", "The queue's name.", "inference")
_LIMIT = query("limit", whole("Most entries; 100 by default.", least=1, most=500))
_AFTER = query("after", string("The id of the last entry that you have."))
_WHICH: tuple[Json, ...] = (
    query("kind", string("Only this kind.")),
    query("queue", string("Only this queue.")),
    query("error", string("Only those that ended with this code.")),
)
_TIMES: tuple[Json, ...] = (
    query("created_after", string(f"Made since then: {_MOMENT}.")),
    query("created_before", string(f"Made before then: {_MOMENT}.")),
)
_IDEMPOTENCY = headers.parameter(
    "idempotency-key",
    string("Sent again with the same body, it is the same job; with another body it is refused."),
)

ROUTES = {
    "jobs_create": Control(
        "Hand in a job",
        "The answer comes when the job is on disk: from then on it reaches an end, whatever dies."
        " `jobs` takes up to 1,000 at once, all or none; then the answer is a list.",
        _JOBS,
        "JobOrList",
        "JobSubmission",
        "POST",
        202,
        asked=(_IDEMPOTENCY,),
        errors=_TAKEN,
        sent_back=("location", "idempotent-replayed"),
    ),
    "predict_batch": Control(
        "Classify many texts",
        "A job of kind `batch.predict` that classifies the texts of `input`, or the lines of a file: each"
        " a text, or an object with fields of a predict request. The answer comes when the job is on"
        " disk.",
        _JOBS,
        "JobSummary",
        "PredictBatch",
        "POST",
        202,
        asked=(_IDEMPOTENCY,),
        errors=_TAKEN,
        family="openai",
        sent_back=("location", "idempotent-replayed"),
    ),
    "jobs": Control(
        "List jobs",
        "The newest first; parts of a job are listed with `parent`." + _OWN,
        _JOBS,
        "JobList",
        asked=(
            _LIMIT,
            _AFTER,
            query("state", word("Only this state.", *STATES)),
            query("priority", word("Only this priority.", *PRIORITIES)),
            query("parent", string("Only the parts of this job.")),
            *_WHICH,
            *_TIMES,
        ),
        errors=(400,),
    ),
    "job": Control(
        "Show a job",
        "How far it is, its result when it has one, what it cost, and its attempts." + _OWN,
        _JOBS,
        "Job",
        of=_JOB,
    ),
    "jobs_cancel": Control(
        "Cancel a job",
        "One that waits never starts; one that runs stops within seconds. What has ended stays as it"
        " is." + _OWN,
        _JOBS,
        "JobSummary",
        method="DELETE",
        of=_JOB,
    ),
    "jobs_events": Control(
        "Follow a job",
        "`state` and `progress` events as they come, and what a streamed answer says, numbered by"
        " `id`. The stream ends after the job does. Who comes back with `Last-Event-ID` gets the rest."
        + _OWN,
        _JOBS,
        "",
        of=_JOB,
        asked=(
            query("after", whole("Number of the last event that you have.", least=0)),
            headers.parameter("last-event-id", string("The same; browsers send it.")),
        ),
        errors=(400,),
        event="JobEvent",
    ),
    "dead_letters": Control(
        "List dead letters",
        "Jobs that have failed for good, the newest first. Looking changes nothing." + _OWN,
        _JOBS,
        "JobList",
        asked=(_LIMIT, _AFTER, *_WHICH, *_TIMES),
        errors=(400,),
    ),
    "dead_letter": Control(
        "Show a dead letter",
        "Its arguments, and what became of each attempt." + _OWN,
        _JOBS,
        "DeadLetter",
        of=_JOB,
    ),
    "dead_letters_replay": Control(
        "Replay dead letters",
        "Those with these `ids`, or all that match `filter`, at most 500 at a time: `has_more` says"
        " that a filter matches more. With `dry_run` it only says which." + _OWN,
        _JOBS,
        "ManyLetters",
        "ReplayMany",
        "POST",
        errors=_BODY,
    ),
    "dead_letter_replay": Control(
        "Replay a dead letter",
        "It is queued again and has all its attempts, with other arguments if you send some."
        + _OWN,
        _JOBS,
        "JobSummary",
        "Replay",
        "POST",
        of=_JOB,
        errors=(*_BODY, 409, 422),
    ),
    "dead_letters_purge": Control(
        "Purge dead letters",
        "Says which match; with `confirm=true` they are deleted for good, at most 500 at a time."
        + _OWN,
        _JOBS,
        "ManyLetters",
        method="DELETE",
        asked=(query("confirm", word("Delete them.", "true", "false")), *_WHICH, *_TIMES),
        errors=(400,),
    ),
    "dead_letter_purge": Control(
        "Purge a dead letter",
        "It is deleted for good, with all that belongs to it." + _OWN,
        _JOBS,
        "DeletedJob",
        method="DELETE",
        of=_JOB,
        errors=(409,),
    ),
    "queues": Control(
        "List queues",
        "How many jobs wait, run and are scheduled, and how long the oldest has waited.",
        _JOBS,
        "QueueList",
        errors=(400, 403),
    ),
    "queues_pause": Control(
        "Pause a queue",
        "No job of it begins any more; what runs goes on. Everywhere, and also after a restart.",
        _JOBS,
        "Queue",
        method="POST",
        of=_QUEUE,
        errors=(403,),
    ),
    "queues_resume": Control(
        "Resume a queue",
        "Its jobs begin again.",
        _JOBS,
        "Queue",
        method="POST",
        of=_QUEUE,
        errors=(403,),
    ),
    "response": Control(
        "Fetch a response",
        "One that was made with `background: true`. With `stream=true` its events, all of them or"
        " those after `starting_after`, if it was made with `stream: true`." + _OWN,
        _OPENAI,
        "Response",
        of=_RESPONSE,
        asked=(
            query("stream", flag("Follow it.")),
            query("starting_after", whole("The last `sequence_number` that you have.", least=0)),
            query("include", string("Accepted; the response holds all that was asked for.")),
        ),
        errors=(400,),
        event="ResponseEvent",
    ),
    "responses_cancel": Control(
        "Cancel a response",
        "One in the background; what has ended stays as it is." + _OWN,
        _OPENAI,
        "Response",
        method="POST",
        of=_RESPONSE,
    ),
    "responses_delete": Control(
        "Delete a response",
        "One in the background, once it has ended." + _OWN,
        _OPENAI,
        "DeletedResponse",
        method="DELETE",
        of=_RESPONSE,
        errors=(409,),
    ),
    "tasks_chat": Control(
        "Chat later",
        "A chat request that becomes a job; it may hold `priority` and `callback_url`. The older name"
        " of POST /v1/jobs with the kind `chat.completion`.",
        _GATEMILL,
        "TaskAccepted",
        "TaskRequest",
        "POST",
        202,
        asked=(_IDEMPOTENCY,),
        errors=_TAKEN,
        sent_back=("location",),
    ),
    "task": Control(
        "Show a task",
        "A job, in Celery's words." + _OWN,
        _GATEMILL,
        "Task",
        of=_TASK,
    ),
    "tasks_cancel": Control(
        "Revoke a task",
        "The older name of DELETE /v1/jobs/{job_id}." + _OWN,
        _GATEMILL,
        "Task",
        method="DELETE",
        of=_TASK,
    ),
    "batch_predict": Control(
        "Predict many texts",
        "Each text gets an answer of the model, in one job of the kind `batch.predict`.",
        _GATEMILL,
        "TaskAccepted",
        "PredictRequest",
        "POST",
        202,
        asked=(_IDEMPOTENCY,),
        errors=_TAKEN,
        sent_back=("location",),
    ),
    "batch_result": Control(
        "Show predictions",
        "How far they are, and the answers." + _OWN,
        _GATEMILL,
        "Task",
        of=_TASK,
    ),
}
