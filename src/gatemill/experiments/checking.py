"""What callers say of an experiment -> the experiment, or why there cannot be one.

Rule: an arm that nobody could answer for is refused before anybody gets it, by its field.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from gatemill.core.errors import (
    GatemillError,
    InvalidValue,
    MissingParameter,
    NotFound,
)
from gatemill.experiments.results import AUTOMATIC
from gatemill.gateway.routes import allows
from gatemill.ledger.experiment_rows import Arm, Experiment, Guardrail, Metric
from gatemill.policy.experiment import FIXED
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.call import Key
    from gatemill.experiments.asked import NewArm, NewExperiment, NewMetric
    from gatemill.gateway.parts import Gateway

PARAMS_BYTES_MAX = 16_384


def experiment(
    said: NewExperiment, new_id: str, key: Key, gateway: Gateway, now_s: float
) -> Experiment:
    """The draft. Raises InvalidValue, InvalidType and MissingParameter, by the field."""
    arms = tuple(_arm(at, one, now_s) for at, one in enumerate(said.arms))
    _check_arms(arms)
    metrics = tuple(
        _metric(at, one) for at, one in (("metric", said.metric), *_numbered(said.metrics))
    )
    if len({one.name for one in metrics}) < len(metrics):
        raise InvalidValue(
            "`metrics`: a name stands twice. Name each metric once.", param="metrics"
        )
    rails = tuple(
        Guardrail(one.metric, one.max, one.min_requests, one.window_s) for one in said.guardrails
    )
    made = Experiment(
        id=new_id,
        name=said.name,
        model=said.model,
        unit=said.unit,
        salt=said.salt or new_id,
        description=said.description,
        state="draft",
        arms=arms,
        metrics=metrics,
        guardrails=rails,
        winner="",
        version=1,
        feedback=0,
        created_at=now_s,
        created_by=key.id,
        started_at=None,
        ended_at=None,
    )
    check_models(made, key, gateway)
    return made


def check_models(one: Experiment, key: Key, gateway: Gateway) -> None:
    """Every arm has a model that is there and that the key may call. Raises as `experiment`."""
    routes = gateway.routes
    if one.model and (routes.leaf(one.model) is None or not allows(key, one.model)):
        raise InvalidValue(_no_model(one.model, "model"), param="model")
    if not one.model and routes.leaf(one.name) is not None:
        raise InvalidValue(
            f"`name`: {one.name} is a model. Choose another name, and set `model` to"
            f" {one.name} to split its calls.",
            param="name",
        )
    for at, arm in enumerate(one.arms):
        field = f"arms.{at}.model"
        model = arm.model or one.model
        if not model:
            raise MissingParameter(
                f"`{field}`: is required where the experiment has no `model` of its own.",
                param=field,
            )
        if routes.leaf(model) is None or not allows(key, model):
            raise InvalidValue(_no_model(model, field), param=field)
        if arm.prompt:
            _check_prompt(gateway, arm.prompt, f"arms.{at}.prompt")


def weighed(one: Experiment, weights: Mapping[str, float], now_s: float) -> Experiment:
    """With other weights; an arm that had none is looked at anew. Raises InvalidValue."""
    known = {arm.name for arm in one.arms if not arm.shadow}
    for name in weights:
        if name not in known:
            raise InvalidValue(
                f"`weights.{name}`: there is no such arm with a weight. Use"
                f" {', '.join(sorted(known))}.",
                param=f"weights.{name}",
            )
    arms = tuple(
        _weighed(arm, weights[arm.name], now_s) if arm.name in weights else arm for arm in one.arms
    )
    if not any(arm.weight for arm in arms if not arm.shadow):
        raise InvalidValue(
            "`weights`: nobody would answer. Leave one arm above 0, or pause the experiment.",
            param="weights",
        )
    return replace(one, arms=arms)


def value(metric: Metric, said: float) -> float:
    """The value of an outcome. Raises InvalidValue."""
    number = float(said)
    if not isfinite(number) or abs(number) > 1e9:
        raise InvalidValue(
            "`value`: send a number between -1,000,000,000 and 1,000,000,000.", param="value"
        )
    if metric.kind == "binary" and number not in (0.0, 1.0):
        raise InvalidValue(f"`value`: {metric.name} is binary: send 0 or 1.", param="value")
    return number


def declared(one: Experiment, name: str) -> Metric:
    """The metric that callers may send values for. Raises InvalidValue."""
    own = [metric for metric in one.metrics if metric.name not in AUTOMATIC]
    for metric in own:
        if metric.name == name:
            return metric
    names = ", ".join(metric.name for metric in own)
    remedy = f"Use {names}." if names else "It has none that are sent."
    words = "is counted by itself" if name in AUTOMATIC else "is no metric of this experiment"
    raise InvalidValue(f"`metric`: {name} {words}. {remedy}", param="metric")


def _arm(at: int, said: NewArm, now_s: float) -> Arm:
    if said.shadow and said.weight is not UNSET:
        raise InvalidValue(
            f"`arms.{at}.weight`: a shadow answers nobody and has no weight; `share` says how many"
            " requests are copied to it.",
            param=f"arms.{at}.weight",
        )
    if not said.shadow and said.share != 1.0:
        raise InvalidValue(
            f"`arms.{at}.share`: is for a shadow. Use `weight`.", param=f"arms.{at}.share"
        )
    weight = 1.0 if said.weight is UNSET else said.weight
    return Arm(
        name=said.name,
        weight=0.0 if said.shadow else weight,
        model=said.model,
        prompt=said.prompt,
        params="" if said.params is UNSET else _params(bytes(said.params), f"arms.{at}.params"),
        shadow=said.shadow,
        share=said.share,
        since=now_s,
    )


def _params(data: bytes, field: str) -> str:
    if len(data) > PARAMS_BYTES_MAX:
        raise InvalidValue(f"`{field}`: has more than {PARAMS_BYTES_MAX} bytes.", param=field)
    if data.strip() in (b"null", b"{}"):
        return ""
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise InvalidValue(
            f'`{field}`: send an object such as {{"temperature": 0.2}}.', param=field
        ) from None
    for name in found:
        if name in FIXED:
            raise InvalidValue(
                f"`{field}.{name}`: an arm cannot change it. Use `model`, `prompt`, or another field"
                " of the request.",
                param=f"{field}.{name}",
            )
    return fields.encode(found).decode()


def _check_arms(arms: Sequence[Arm]) -> None:
    if len({arm.name for arm in arms}) < len(arms):
        raise InvalidValue("`arms`: a name stands twice. Name each arm once.", param="arms")
    if not any(arm.weight for arm in arms):
        raise InvalidValue("`arms`: nobody would answer. Give one a weight above 0.", param="arms")
    if sum(arm.shadow for arm in arms) > 1:
        raise InvalidValue("`arms`: an experiment has at most one shadow.", param="arms")


def _metric(field: str, said: NewMetric) -> Metric:
    own = AUTOMATIC.get(said.name)
    if own is None:
        kind = "mean" if said.kind is UNSET else said.kind
        direction = "higher" if said.direction is UNSET else said.direction
        return Metric(said.name, kind, direction, said.margin)
    for name, value_ in (("kind", said.kind), ("direction", said.direction)):
        if value_ is not UNSET and value_ != getattr(own, name):
            raise InvalidValue(
                f"`{field}.{name}`: {said.name} is counted by itself, with {name}"
                f" {getattr(own, name)}. Leave it out.",
                param=f"{field}.{name}",
            )
    return replace(own, margin=said.margin)


def _numbered(metrics: Sequence[NewMetric]) -> list[tuple[str, NewMetric]]:
    return [(f"metrics.{at}", one) for at, one in enumerate(metrics)]


def _weighed(arm: Arm, weight: float, now_s: float) -> Arm:
    if arm.weight:
        return replace(arm, weight=weight)
    return replace(arm, weight=weight, since=now_s, stopped="") if weight else arm


def _check_prompt(gateway: Gateway, name: str, field: str) -> None:
    if gateway.prompts is None:
        raise InvalidValue(f"`{field}`: there are no prompts here.", param=field)
    try:
        gateway.prompts.fill(name, {}, {})
    except NotFound as error:
        raise InvalidValue(f"`{field}`: {error.message}", param=field) from None
    except GatemillError:
        pass  # it is there; what its variables lack, requests bring


def _no_model(name: str, field: str) -> str:
    return (
        f"`{field}`: there is no model {name[:200]}, or your key may not call it. GET /v1/models lists"
        " the names; an experiment is none."
    )
