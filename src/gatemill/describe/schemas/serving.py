"""Schemas of the models that run here."""

from __future__ import annotations

from gatemill.core.model import ENGINES, TASKS
from gatemill.describe.words import (
    Json,
    array,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)

_TIME = or_null(number("When, in seconds of Unix time; null when it has not happened.", least=0))
STATES = ("unloaded", "loading", "ready", "failed", "unloading")

SCHEMAS: dict[str, Json] = {
    "Runner": obj(
        "How a model that runs here stands.",
        {
            "model": string("Its name: of [local], or a version such as `sentiment:3`."),
            "object": word("The kind of thing.", "runner"),
            "task": word("What it does.", *TASKS),
            "engine": word("Who runs it.", *ENGINES),
            "state": word("How it stands.", *STATES),
            "memory_bytes": whole("What it takes, as far as it is known.", least=0),
            "error": or_null(string("Why it could not be loaded.")),
            "loaded_at": _TIME,
            "used_at": _TIME,
            "in_flight": whole("Requests that it is working on.", least=0),
            "waiting": whole("Inputs or requests that wait.", least=0),
            "pid": or_null(whole("Of its child process, where it has one.", least=1)),
            "restarts": whole("How often that had to be started again.", least=0),
        },
    ),
    "RunnerList": obj(
        "The models that run in this process.",
        {
            "object": word("The kind of thing.", "list"),
            "data": array("By name.", ref("Runner")),
            "memory_bytes": whole("What they take together.", least=0),
        },
    ),
}
