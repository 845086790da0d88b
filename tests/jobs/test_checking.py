"""What a kind asks of the gateway before its job is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from gatemill.core.errors import InvalidValue, ModelNotFound
from gatemill.jobs.checking import check_model, check_request, window
from gatemill.policy.complexity import Complexity
from gatemill.policy.experiment import Arm, Experiment
from gateway_parts import KEY, Stage, asking, route


class Target(Struct, frozen=True):
    """What is read of a target."""

    context_tokens: int | None
    model: str = "m"
    label: str = "p/m"


def split(*models: str) -> Experiment:
    return Experiment(tuple(Arm(model, model, 1.0) for model in models), "user", "")


def test_a_request_is_read_and_planned_like_any_other():
    gateway = Stage(route()).gateway
    check_request(gateway, KEY, "chat", asking())
    with pytest.raises(ModelNotFound):
        check_request(gateway, KEY, "chat", asking(model="n"))
    with pytest.raises(InvalidValue, match=r"`messages`"):
        check_request(gateway, KEY, "chat", asking(messages=[]))


def test_a_model_is_looked_up_without_a_request():
    gateway = Stage(route(output_max=5)).gateway
    check_model(gateway, KEY, "m", 5)
    with pytest.raises(InvalidValue):
        check_model(gateway, KEY, "m", 6)
    with pytest.raises(ModelNotFound):
        check_model(gateway, KEY, "n")


def test_the_shortest_context_of_all_that_may_answer_counts():
    routes: list[Any] = [
        route(Target(900), Target(None), Target(700), name="short"),
        route(Target(800), name="long"),
        route(Target(None), name="unknown"),
        route(name="split", experiment=split("long", "unknown")),
        route(name="clever", complexity=Complexity("short", "split", 0.5)),
    ]
    gateway = Stage(*routes).gateway
    assert window(gateway, "short") == 700
    assert window(gateway, "unknown") is None
    assert window(gateway, "split") == 800
    assert window(gateway, "clever") == 700
    assert window(gateway, "nowhere") is None
