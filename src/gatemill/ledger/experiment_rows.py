"""The words of experiments as the database keeps them. Rule: data only; one row is one experiment."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

STATES = ("draft", "running", "paused", "concluded")


class Arm(Struct, frozen=True, omit_defaults=True):
    """One version among which callers are split."""

    name: str
    weight: float = 1.0  # relative to the other arms; 0 gets nobody
    model: str = ""  # whose targets answer; "" is the model whose calls are split
    prompt: str = ""  # of the registry
    params: str = ""  # JSON object of fields that replace those of the request
    shadow: bool = False  # gets copies of requests, and nobody sees its answers
    share: float = 1.0  # of a shadow: of the requests
    since: float = 0.0  # Unix time from which guardrails look at it: it was weight 0 before
    stopped: str = ""  # why a guardrail took its weight; "" when none has


class Metric(Struct, frozen=True):
    """What is compared."""

    name: str
    kind: str = "mean"  # "binary": every value is 0 or 1
    direction: str = "higher"  # which is better
    margin: float = 0.0  # a difference that is surely smaller is none; 0: every one counts


class Guardrail(Struct, frozen=True):
    """What no arm may do; one that does gets no callers any more."""

    metric: str  # error_rate, latency_p95_ms or cost_usd_mean
    max: float
    min_requests: int = 100  # before anything is said
    window_s: float = 3600.0  # how far back it looks


class Experiment(Struct, frozen=True, kw_only=True):
    """One experiment."""

    id: str
    name: str
    model: str  # whose calls are split; "": callers say the experiment's name
    unit: str  # what stays with its arm
    salt: str
    description: str
    state: str
    arms: tuple[Arm, ...]  # the first is the control
    metrics: tuple[Metric, ...]  # the first is the one it is about
    guardrails: tuple[Guardrail, ...]
    winner: str  # arm that answers everybody once it is concluded
    version: int  # rises with each change
    feedback: int  # outcomes that are kept
    created_at: float  # Unix time, as are the next
    created_by: str
    started_at: float | None
    ended_at: float | None

    @property
    def served(self) -> str:
        """The model name that callers say."""
        return self.model or self.name

    @property
    def control(self) -> Arm:
        """The arm that answers while nothing is compared."""
        return next(arm for arm in self.arms if not arm.shadow)

    def arm(self, name: str) -> Arm | None:
        """The arm of this name."""
        return next((arm for arm in self.arms if arm.name == name), None)


class Event(Struct, frozen=True):
    """One change."""

    experiment_id: str
    version: int  # of the experiment after it
    at: float  # Unix time
    actor: str  # id of a key, or "guardrail"
    action: str  # create, change, start, pause, conclude, stop_arm
    reason: str
    detail: dict[str, Any]  # what was changed to what


_JSON: dict[str, msgspec.json.Decoder[Any]] = {
    "arms": msgspec.json.Decoder(tuple[Arm, ...]),
    "metrics": msgspec.json.Decoder(tuple[Metric, ...]),
    "guardrails": msgspec.json.Decoder(tuple[Guardrail, ...]),
}


def read(row: dict[str, Any]) -> Experiment:
    """The experiment of a row."""
    decoded = {name: decoder.decode(row[name]) for name, decoder in _JSON.items()}
    return msgspec.convert({**row, **decoded}, Experiment)


def written(experiment: Experiment) -> dict[str, Any]:
    """The row of an experiment."""
    row = {name: getattr(experiment, name) for name in experiment.__struct_fields__}
    return row | {name: msgspec.json.encode(row[name]).decode() for name in _JSON}


def event(row: dict[str, Any]) -> Event:
    """The change of a row."""
    return msgspec.convert({**row, "detail": msgspec.json.decode(row["detail"])}, Event)
