"""Schemas of experiments."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    asked,
    flag,
    mapping,
    number,
    obj,
    or_null,
    string,
    whole,
    word,
)

_NAME = string("Letters, digits, `_`, `.` and `-`; 1 to 63 of them.", least=1)
_REASON = string("Why; it stands in the events.")
_WHEN = or_null(number("When, in seconds of Unix time.", least=0))
_MEAN = or_null(number("The mean; null without any."))
_UNITS = ("key", "user", "conversation")
_STATES = ("draft", "running", "paused", "concluded")
_VERDICTS = ("a_better", "b_better", "equivalent", "continue")
_METRIC_ASKED = asked(
    "What is compared. `error_rate`, `latency_ms`, `cost_usd` and `tokens` are counted by themselves; any"
    " other is sent to /v1/feedback.",
    {"name": _NAME},
    {
        "kind": word("Binary values are 0 or 1; mean by default.", "binary", "mean"),
        "direction": word("Which is better; higher by default.", "higher", "lower"),
        "margin": number("A difference that is surely smaller is none.", least=0, most=1e9),
    },
)
_GUARDRAIL = {
    "metric": word("What is watched.", "error_rate", "latency_p95_ms", "cost_usd_mean"),
    "max": number("The most that is allowed.", least=0, most=1e9),
}
_GUARDRAIL_MORE = {
    "min_requests": whole("Before anything is said; 100.", least=1, most=1_000_000),
    "window_s": number("How far back it looks; 3600.", least=60, most=604_800),
}
_METRIC = obj(
    "What is compared.",
    {
        "name": string("Its name."),
        "kind": word("Kind of its values.", "binary", "mean"),
        "direction": word("Which is better.", "higher", "lower"),
        "margin": number("A difference that is surely smaller is none."),
    },
)
_COMPARISON = obj(
    "Two arms.",
    {
        "a": string("An arm."),
        "b": string("Another one."),
        "diff": or_null(number("Mean of `a` minus mean of `b`; null while there are too few.")),
        "low": or_null(number("The difference is at least this.")),
        "high": or_null(number("The difference is at most this.")),
        "verdict": word("What may be said.", *_VERDICTS),
    },
)
_COMPARISONS = array("Every two arms.", _COMPARISON)

SCHEMAS: dict[str, Json] = {
    "ExperimentNew": asked(
        "Arms among which callers are split.",
        {
            "name": _NAME,
            "arms": array(
                "The first is the control.",
                asked(
                    "One version.",
                    {"name": _NAME},
                    {
                        "weight": number("Relative to the others; 1.", least=0, most=1e6),
                        "model": string("Who answers; by default the experiment's `model`."),
                        "prompt": string("A prompt of the registry that is filled in."),
                        "params": mapping("Fields that replace those of the request."),
                        "shadow": flag("Gets copies of requests; nobody sees its answers."),
                        "share": number("Of a shadow: of the requests; 1.", least=0, most=1),
                    },
                ),
                least=2,
                most=10,
            ),
            "metric": _METRIC_ASKED,
        },
        {
            "model": string(
                "The model whose calls are split. Without it callers say the experiment's name."
            ),
            "unit": word("What stays with its arm; user by default.", *_UNITS),
            "metrics": array("More of them.", _METRIC_ASKED, most=9),
            "guardrails": array(
                "What stops an arm.",
                asked("A bound.", _GUARDRAIL, _GUARDRAIL_MORE),
                most=10,
            ),
            "description": string("For people."),
            "salt": string("Another salt is another split; by default the id."),
            "reason": _REASON,
        },
    ),
    "ExperimentChange": asked(
        "What changes.",
        {},
        {
            "weights": mapping("Weights by arm.", number("The new one.", least=0, most=1e6)),
            "description": string("For people."),
            "reason": _REASON,
        },
    ),
    "ExperimentStart": asked("Why it begins.", {}, {"reason": _REASON}),
    "ExperimentPause": asked("Why it pauses.", {}, {"reason": _REASON}),
    "ExperimentConclusion": asked(
        "How it ended.",
        {},
        {"winner": string("The arm that answers from now on."), "reason": _REASON},
    ),
    "Experiment": obj(
        "An experiment.",
        {
            "object": word("Kind of this object.", "experiment"),
            "id": string("Its id."),
            "name": string("Its name."),
            "model": string("The model name that callers say."),
            "state": word("Whether it splits callers.", *_STATES),
            "unit": word("What stays with its arm.", *_UNITS),
            "description": string("For people."),
            "arms": array(
                "Its arms; the first is the control.",
                obj(
                    "One version.",
                    {
                        "name": string("Its name."),
                        "model": string("Who answers."),
                        "prompt": or_null(string("The prompt that is filled in.")),
                        "params": mapping("Fields that replace those of the request."),
                        "stopped": or_null(string("Why a guardrail has stopped it.")),
                        "shadow": flag("Nobody sees its answers."),
                    },
                    {
                        "weight": number("Relative to the others."),
                        "share": number("Of a shadow: of the requests."),
                    },
                ),
            ),
            "metric": _METRIC,
            "metrics": array("More of them.", _METRIC),
            "guardrails": array(
                "What stops an arm.", obj("A bound.", {**_GUARDRAIL, **_GUARDRAIL_MORE})
            ),
            "winner": or_null(string("The arm that won.")),
            "version": whole("Rises with each change.", least=1),
            "feedback": whole("Outcomes that are kept.", least=0),
            "created_at": _WHEN,
            "started_at": _WHEN,
            "ended_at": _WHEN,
        },
    ),
    "ExperimentList": listing("Experiments.", "Experiment"),
    "DeletedExperiment": obj(
        "It is gone.",
        {
            "object": word("What it was.", "experiment"),
            "id": string("Its id."),
            "deleted": flag("Always true."),
        },
    ),
    "ExperimentEvent": obj(
        "A change.",
        {
            "object": word("Kind of this object.", "experiment.event"),
            "version": whole("Of the experiment after it.", least=1),
            "at": _WHEN,
            "actor": string("Id of the key; or `guardrail`."),
            "action": string("create, change, start, pause, conclude or stop_arm."),
            "reason": or_null(string("Why.")),
            "detail": mapping("Fields that changed, each with old and new value."),
        },
    ),
    "ExperimentEventList": listing("Changes.", "ExperimentEvent"),
    "ExperimentResults": obj(
        "What is known so far.",
        {
            "object": word("Kind of this object.", "experiment.results"),
            "id": string("The experiment's id."),
            "name": string("Its name."),
            "state": word("Whether it splits callers.", *_STATES),
            "winner": or_null(string("The arm that won.")),
            "since": _WHEN,
            "until": _WHEN,
            "metric": string("What it is about: `n`, `mean` and `comparisons` are of this metric."),
            "arms": array(
                "The arms.",
                obj(
                    "One arm.",
                    {
                        "name": string("Its name."),
                        "shadow": flag("Nobody sees its answers."),
                        "weight": number("Relative to the others."),
                        "stopped": or_null(string("Why a guardrail has stopped it.")),
                        "n": whole("Units with a value.", least=0),
                        "mean": _MEAN,
                        "requests": whole("Requests that it answered.", least=0),
                        "error_rate": _MEAN,
                        "latency_ms": _MEAN,
                        "latency_p95_ms": or_null(
                            number("95 of 100 requests take no longer, of the newest 20,000.")
                        ),
                        "cost_usd": _MEAN,
                        "tokens": _MEAN,
                    },
                ),
            ),
            "comparisons": _COMPARISONS,
            "metrics": array(
                "All metrics.",
                {
                    **_METRIC,
                    "properties": {
                        **_METRIC["properties"],
                        "arms": array(
                            "The arms.",
                            obj(
                                "One arm.",
                                {
                                    "name": string("Its name."),
                                    "n": whole("Units with a value.", least=0),
                                    "values": whole("Values.", least=0),
                                    "mean": _MEAN,
                                },
                            ),
                        ),
                        "comparisons": _COMPARISONS,
                    },
                },
            ),
        },
    ),
    "ExperimentAssignment": obj(
        "Who gets what.",
        {
            "object": word("Kind of this object.", "experiment.assignment"),
            "id": string("The experiment's id."),
            "unit": string("The unit."),
            "arm": string("Its arm."),
        },
    ),
    "FeedbackNew": asked(
        "An outcome. Send `request_id`, or `experiment` and `unit`.",
        {
            "metric": _NAME,
            "value": {"type": ["number", "boolean"], "description": "What came of it; true is 1."},
        },
        {
            "request_id": string("From the header x-request-id of the answer.", least=1),
            "experiment": string("Id or name of an experiment.", least=1),
            "unit": string(
                "Whose outcome it is: several of one unit count as their mean.", least=1
            ),
            "idempotency_key": string("Sent again with it, the outcome counts once.", least=1),
        },
    ),
    "FeedbackTold": obj(
        "What became of it.",
        {
            "object": word("Kind of this object.", "feedback"),
            "experiment": or_null(string("The experiment's id.")),
            "arm": or_null(string("The arm that it is about.")),
            "metric": string("The metric."),
            "counted": flag("It counts."),
            "reason": or_null(string("Why not.")),
        },
    ),
}
