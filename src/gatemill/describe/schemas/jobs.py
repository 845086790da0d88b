"""Jobs, dead letters, queues, and their older names."""

from __future__ import annotations

from gatemill.core.job import PRIORITIES, STATES
from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
    flag,
    mapping,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)

_UNIX = "in seconds of Unix time"
_ID = string("Its id.")
_PRIORITY = word("high first, low when nothing else waits, and a little always.", *PRIORITIES)
_CALLBACK = {**string("A public URL that is told of the end."), "maxLength": 2048}
_METADATA: Json = {
    "type": "object",
    "description": "Your own words about it: up to 16 pairs of text.",
    "maxProperties": 16,
    "propertyNames": {"minLength": 1, "maxLength": 64},
    "additionalProperties": {"type": "string", "maxLength": 512},
}
_MOMENT: Json = either(
    f"When it may begin, {_UNIX} or as ISO 8601; now by default.",
    [{"type": "number"}, {"type": "string"}],
)
_FIELDS: dict[str, Json] = {
    "args": mapping("What the kind takes."),
    "priority": _PRIORITY,
    "run_at": _MOMENT,
    "ttl": {
        **number("Seconds after which it expires if it has not begun."),
        "exclusiveMinimum": 0,
        "maximum": 31_622_400,
    },
    "callback_url": _CALLBACK,
    "metadata": _METADATA,
}
_KIND = {**string("What is to be done, such as `chat.completion`.", least=1), "maxLength": 200}
_PROBLEM = or_null(ref("JobProblem", "Why it has no result."))
_TIME = or_null(number(f"When, {_UNIX}; null when it has not happened.", least=0))
_SUMMARY: dict[str, Json] = {
    "id": _ID,
    "object": word("Kind of this object.", "job"),
    "kind": string("What is done."),
    "state": word("How far it is; the last four are its end.", *STATES),
    "cancelling": flag("It runs, and is to stop."),
    "priority": word("How urgent it is.", *PRIORITIES),
    "queue": string("Where it waits."),
    "created_at": number(f"When it was accepted, {_UNIX}.", least=0),
    "run_at": number(f"When it may begin, {_UNIX}.", least=0),
    "started_at": _TIME,
    "finished_at": _TIME,
    "expires_at": _TIME,
    "attempt": whole("Attempts that counted so far.", least=0),
    "attempts_max": whole("After so many it is a dead letter.", least=1),
    "error": _PROBLEM,
    "metadata": mapping("Your own words about it.", {"type": "string"}),
    "callback_url": or_null(string("What is told of the end.")),
    "parent_id": or_null(string("The job that waits for it.")),
    "parts": whole("Jobs that it waits or waited for.", least=0),
    "parts_open": whole("Of these, not ended.", least=0),
}
_WHOLE: dict[str, Json] = {
    **_SUMMARY,
    "progress": or_null(ref("JobProgress", "How far it is.")),
    "cost_usd": or_null(string("Dollars so far, parts included; null while a price is unknown.")),
    "result": {"description": "What it made; null until it has succeeded."},
    "attempts": array("Every start.", ref("JobAttempt")),
}
_LETTERS = string("Only those.")
_STATUS = word("Celery's words.", "PENDING", "RETRY", "STARTED", "SUCCESS", "FAILURE", "REVOKED")
_OPERATIONS = (
    *("chat", "completions", "embeddings", "inference", "messages", "responses"),
    *("predict", "predict_text", "rerank", "moderations"),
)
_SINCE: Json = either("Made since then, as in the query.", [{"type": "number"}, {"type": "string"}])

SCHEMAS: dict[str, Json] = {
    "JobSubmission": either(
        "One job, or a list of them.",
        [
            ref("JobNew"),
            {
                **obj(
                    "Many jobs, all accepted or none.",
                    {"jobs": array("The jobs.", ref("JobNew"), least=1, most=1000)},
                ),
                "additionalProperties": False,
            },
        ],
    ),
    "JobNew": {
        **asked("A job to do. Other fields are refused.", {"kind": _KIND}, _FIELDS),
        "additionalProperties": False,
    },
    "JobSummary": obj("A job, without what is long.", _SUMMARY),
    "JobList": listing("Jobs.", "JobSummary"),
    "JobOrList": either(
        "The job, or the jobs in the order of the request.", [ref("JobSummary"), ref("JobList")]
    ),
    "Job": obj("A job.", _WHOLE),
    "DeadLetter": obj(
        "A job that has failed for good.",
        {
            **_WHOLE,
            "args": or_null(mapping("What it was given. Null for a key that may only look.")),
        },
    ),
    "JobProblem": obj(
        "Why a job or an attempt failed.",
        {"code": string("What to switch on."), "message": string("What went wrong.")},
        {"param": string("The field at fault.")},
    ),
    "JobProgress": obj(
        "How far a job is.",
        {
            "current": whole("Done so far; it never falls while one attempt runs.", least=0),
            "total": or_null(whole("Of so many; null when nobody knows.", least=0)),
            "note": string("What it is doing."),
        },
    ),
    "JobAttempt": obj(
        "One start of a job.",
        {
            "number": whole("From 1, counting every start.", least=1),
            "started_at": number(f"When, {_UNIX}.", least=0),
            "ended_at": _TIME,
            "outcome": string(
                "succeeded, failed, retried, postponed, released, cancelled, timeout, lost, waiting"
                " or running."
            ),
            "error": _PROBLEM,
        },
    ),
    "JobEvent": either(
        "What happened. The SSE `event` line says which: `state`, `progress`, or what the job has said.",
        [ref("JobSummary"), ref("JobProgress"), mapping("What the job has said; it has an `id`.")],
    ),
    "Replay": {
        **asked(
            "How to replay it.",
            {},
            {"args": mapping("Other arguments."), "priority": _PRIORITY},
        ),
        "additionalProperties": False,
    },
    "ReplayMany": {
        **asked(
            "Which dead letters; send `ids` or `filter`.",
            {},
            {
                "ids": array("These.", {"type": "string"}, least=1, most=500),
                "filter": ref("LetterFilter", "Those that match all of it; {} is all."),
                "dry_run": flag("Only say which."),
                "priority": _PRIORITY,
            },
        ),
        "additionalProperties": False,
    },
    "LetterFilter": {
        **obj(
            "Which dead letters.",
            {},
            {
                "kind": _LETTERS,
                "queue": _LETTERS,
                "error": string("Only those with this code."),
                "created_after": _SINCE,
                "created_before": _SINCE,
            },
        ),
        "additionalProperties": False,
    },
    "ManyLetters": obj(
        "What became of many dead letters.",
        {
            "object": word("What was asked.", "replay", "purge"),
            "dry_run": flag("Nothing was changed."),
            "matched": whole("How many were meant.", least=0),
            "done": whole("How many of them were changed; the others were dead no more.", least=0),
            "has_more": flag("The filter matches more than one request takes."),
            "ids": array("Those that were meant.", {"type": "string"}),
        },
    ),
    "DeletedJob": obj(
        "It is gone.",
        {"object": word("What it was.", "job"), "id": _ID, "deleted": flag("Always true.")},
    ),
    "DeletedResponse": obj(
        "It is gone.",
        {"object": word("What it was.", "response"), "id": _ID, "deleted": flag("Always true.")},
    ),
    "Queue": obj(
        "A queue.",
        {
            "object": word("Kind of this object.", "queue"),
            "name": string("Its name."),
            "paused": flag("Nothing of it begins."),
            "queued": whole("Jobs that could begin.", least=0),
            "running": whole("Jobs that run.", least=0),
            "scheduled": whole("Jobs whose time has not come.", least=0),
            "waiting": mapping(
                "Those that could begin, by priority.",
                obj(
                    "One priority.",
                    {
                        "jobs": whole("How many.", least=0),
                        "oldest_s": number("Seconds that the oldest has waited.", least=0),
                    },
                ),
            ),
        },
    ),
    "QueueList": listing("Queues.", "Queue"),
    "TaskRequest": {
        "description": "A chat request, and two fields besides.",
        "allOf": [
            ref("ChatRequest"),
            asked("Besides.", {}, {"priority": _PRIORITY, "callback_url": _CALLBACK}),
        ],
    },
    "PredictRequest": {
        **asked(
            "Many questions for one model. Other fields are refused.",
            {
                "model": string("The model.", least=1),
            },
            {
                "items": array(
                    "Texts, or objects with fields of their request.",
                    {"anyOf": [{"type": "string"}, {"type": "object"}]},
                    least=1,
                    most=10_000,
                ),
                "input_file_id": string("Instead of them: a file with one in each line."),
                "operation": word("What each item is for; chat by default.", *_OPERATIONS),
                "params": mapping("Fields of every request."),
                "template": string("Text with `{item}` in it."),
                "concurrency": whole("Items at once; 16 by default.", least=1, most=64),
                "priority": _PRIORITY,
                "callback_url": _CALLBACK,
            },
        ),
        "additionalProperties": False,
    },
    "TaskAccepted": obj(
        "The task is on disk.", {"task_id": string("The job's id."), "status": _STATUS}
    ),
    "Task": obj(
        "A job in Celery's words.",
        {
            "task_id": string("The job's id."),
            "status": _STATUS,
            "result": {"description": "What it made; null until it has succeeded."},
            "error": _PROBLEM,
            "progress": or_null(ref("JobProgress", "How far it is.")),
            "cost_usd": or_null(string("Dollars so far; null while a price is unknown.")),
        },
    ),
}
