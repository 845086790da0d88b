"""What callers may say of experiments. Rule: shapes and bounds only; whether it makes sense is `checking`'s."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

# It stands in paths, headers and behind a slash in the ledger.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
ARMS_MAX = 10
METRICS_MAX = 10
GUARDRAILS_MAX = 10
VALUE_MAX = 1e9
WEIGHT_MAX = 1e6
WINDOW_S = (60.0, 604_800.0)

Name = Annotated[str, Meta(pattern=NAME)]
ModelName = Annotated[str, Meta(max_length=200)]
Reason = Annotated[str, Meta(max_length=500)]
Weight = Annotated[float, Meta(ge=0, le=WEIGHT_MAX)]
Share = Annotated[float, Meta(ge=0, le=1)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class NewArm(Struct, frozen=True, forbid_unknown_fields=True):
    """One version."""

    name: Name
    weight: Weight | UnsetType = UNSET
    model: ModelName = ""
    prompt: ModelName = ""
    params: Raw | UnsetType = UNSET
    shadow: bool = False
    share: Share = 1.0


class NewMetric(Struct, frozen=True, forbid_unknown_fields=True):
    """What is compared."""

    name: Name
    kind: Literal["binary", "mean"] | UnsetType = UNSET
    direction: Literal["higher", "lower"] | UnsetType = UNSET
    margin: Annotated[float, Meta(ge=0, le=VALUE_MAX)] = 0.0


class NewGuardrail(Struct, frozen=True, forbid_unknown_fields=True):
    """What no arm may do."""

    metric: Literal["error_rate", "latency_p95_ms", "cost_usd_mean"]
    max: Annotated[float, Meta(ge=0, le=VALUE_MAX)]
    min_requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    window_s: Annotated[float, Meta(ge=WINDOW_S[0], le=WINDOW_S[1])] = 3600.0


class NewExperiment(Struct, frozen=True):
    """An experiment to be made."""

    name: Name
    arms: Annotated[tuple[NewArm, ...], Meta(min_length=2, max_length=ARMS_MAX)]
    metric: NewMetric
    model: ModelName = ""
    unit: Literal["key", "user", "conversation"] = "user"
    metrics: Annotated[tuple[NewMetric, ...], Meta(max_length=METRICS_MAX - 1)] = ()
    guardrails: Annotated[tuple[NewGuardrail, ...], Meta(max_length=GUARDRAILS_MAX)] = ()
    description: Annotated[str, Meta(max_length=2000)] = ""
    salt: Annotated[str, Meta(max_length=200)] = ""
    reason: Reason = ""


class Change(Struct, frozen=True):
    """What may change of one that is there."""

    weights: dict[str, Weight] | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    reason: Reason = ""


class Act(Struct, frozen=True):
    """Start or pause."""

    reason: Reason = ""


class Conclusion(Struct, frozen=True):
    """The end."""

    winner: Name | None = None
    reason: Reason = ""


class Feedback(Struct, frozen=True):
    """One outcome."""

    metric: Name
    value: float | bool
    request_id: Text | UnsetType = UNSET
    experiment: Text | UnsetType = UNSET
    unit: Text | UnsetType = UNSET
    idempotency_key: Text | UnsetType = UNSET
