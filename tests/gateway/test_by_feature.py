"""A model for each value of something known of the caller."""

from __future__ import annotations

import pytest

from gatemill.core.call import Call, Head
from gatemill.gateway.plan import ByFeature, Route, decision, plan
from gateway_parts import KEY, Stage, route
from playbook import target

RULE = ByFeature("user.tier", {"gold": "strong", "3": "third", "true": "yes"}, "cheap")
NAMES = ("strong", "cheap", "third", "yes")


def led(facts):
    leaves = [route(target(name=name), name=name) for name in NAMES]
    stage = Stage(Route(name="m", targets=(), by_feature=RULE), *leaves)
    call = Call("req_1", "chat", b"{}", Head("m"), 0.0, 9.0, key=KEY, facts=facts)
    return plan(stage.gateway.routes, KEY, call, 0.0)


@pytest.mark.parametrize(
    ("facts", "model", "reason"),
    [
        ({"user.tier": "gold"}, "strong", "user.tier gold"),
        ({"user.tier": "silver"}, "cheap", "user.tier silver"),
        ({"user.tier": 3}, "third", "user.tier 3"),
        ({"user.tier": 3.0}, "third", "user.tier 3"),
        ({"user.tier": True}, "yes", "user.tier true"),
        ({"user.tier": None}, "cheap", "user.tier unknown"),
        ({"user.age": 3}, "cheap", "user.tier unknown"),
        (None, "cheap", "user.tier unknown"),
    ],
)
def test_the_value_leads_to_its_model(facts, model, reason):
    chosen = led(facts)
    assert [one.provider for one in chosen.targets] == [model]
    assert (chosen.model, chosen.reason) == (model, f"{reason}")
    assert f'"reason":"{reason}"' in decision(chosen)
