"""What a prompt, an arm and what is known of the caller change in a request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.core.errors import MissingParameter, NotFound, UnsupportedOperation
from gatemill.core.ports import Incoming
from gatemill.gateway.explain import explain
from gatemill.gateway.parts import Caller, Filled
from gatemill.gateway.routes import ByFeature
from gatemill.policy.experiment import Arm, Experiment
from gateway_parts import SECRET, Stage, asking, route
from playbook import target

ANSWER = {"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 1}}
GOOD = Incoming(200, {}, msgspec.json.encode(ANSWER))


class OnePrompt:
    """A registry with the prompt `greet`, and `secret`, which is another team's."""

    def check(self, name: str, key: Key | None) -> None:
        if name == "secret":
            raise NotFound("There is no such prompt.", param="prompt_id")

    def fill(self, name: str, variables: dict[str, Any], facts: dict[str, Any]) -> Filled:
        if not name.startswith(("greet", "secret")):
            raise NotFound("There is no such prompt.", param="prompt_id")
        said = f"Greet {variables.get('who', 'nobody')} of {facts.get('user.tier', 'no tier')}."
        return Filled(
            [{"role": "system", "content": said}], {"temperature": 0.1, "max_tokens": 9}, "greet:3"
        )


class Known:
    """What is known of users, and which calls were to be kept."""

    def __init__(self) -> None:
        self.kept: list[bool] = []

    async def resolve(self, call, *, keep):
        self.kept.append(keep)
        return {f"{name}.tier": "gold" for name, key in call.head.entities if key == "u1"}


def stage(*more, arms: tuple[Arm, ...] = (), **fields: Any) -> tuple[Stage, Any]:
    """A gateway whose model `m` answers once; with `arms`, `m` is an experiment over `base`."""
    place = target(GOOD)
    routes = [route(place, name="base"), *more]
    if arms:
        split = Experiment(arms, "key", "s", "exp_1")
        routes.append(route(name="m", experiment=split))
    else:
        routes.append(route(place, name="m", **fields))
    made = Stage(*routes)
    made.gateway = replace(made.gateway, prompts=OnePrompt(), facts=Known())
    return made, place.transport


def sent(scene: Any) -> dict[str, Any]:
    (out,) = scene.asked
    return msgspec.json.decode(out.body)


async def test_a_prompt_comes_before_the_messages_and_sets_what_the_caller_leaves_open():
    made, scene = stage()
    body = asking(prompt_id="greet@production", prompt_variables={"who": "Ada"}, max_tokens=5)
    await made.ask(body=body)
    assert sent(scene) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Greet Ada of no tier."},
            {"role": "user", "content": "Hi"},
        ],
        "temperature": 0.1,
        "max_tokens": 5,
    }
    assert made.rows[0].prompt_version == "greet:3"


async def test_a_prompt_may_bring_all_messages():
    made, scene = stage()
    await made.ask(body=msgspec.json.encode({"model": "m", "prompt_id": "greet"}))
    assert [each["role"] for each in sent(scene)["messages"]] == ["system"]


async def test_without_a_prompt_messages_are_required():
    made, scene = stage()
    with pytest.raises(MissingParameter) as refused:
        await made.ask(body=b'{"model": "m"}')
    assert refused.value.param == "messages"
    assert not scene.asked


async def test_an_unknown_prompt_is_refused_before_anybody_is_asked():
    made, scene = stage()
    with pytest.raises(NotFound) as refused:
        await made.ask(body=asking(prompt_id="nobody"))
    assert refused.value.param == "prompt_id"
    assert not scene.asked


async def test_a_prompt_that_is_not_the_keys_is_refused_before_anybody_is_asked():
    made, scene = stage()
    with pytest.raises(NotFound) as refused:
        await made.ask(body=asking(prompt_id="secret"))
    assert refused.value.param == "prompt_id"
    assert not scene.asked


async def test_the_prompt_of_an_arm_is_for_whoever_may_ask_the_experiments_model():
    made, scene = stage(arms=(Arm("b", "base", 1.0, prompt="secret"),))
    await made.ask(body=asking())
    assert sent(scene)["messages"][0]["content"] == "Greet nobody of no tier."


async def test_an_arm_without_a_prompt_lets_nobody_name_one_that_is_not_theirs():
    made, scene = stage(arms=(Arm("b", "base", 1.0),))
    with pytest.raises(NotFound):
        await made.ask(body=asking(prompt_id="secret"))
    assert not scene.asked


async def test_what_is_known_of_the_caller_fills_the_prompt_and_no_provider_sees_who_it_is():
    made, scene = stage()
    await made.ask(body=asking(prompt_id="greet", entities={"user": "u1"}))
    assert sent(scene)["messages"][0]["content"] == "Greet nobody of gold."
    assert "entities" not in sent(scene)
    assert made.gateway.facts.kept == [True]


async def test_entities_alone_are_taken_out_too():
    made, scene = stage()
    await made.ask(body=asking(entities={"user": "u1"}))
    assert sent(scene) == msgspec.json.decode(asking())


@pytest.mark.parametrize(("user", "provider"), [("u1", "strong"), ("u2", "cheap")])
async def test_a_feature_decides_which_model_answers(user: str, provider: str):
    rule = ByFeature("user.tier", {"gold": "strong"}, "cheap")
    made = Stage(
        route(name="m", by_feature=rule),
        route(target(GOOD, name="strong"), name="strong"),
        route(target(GOOD, name="cheap"), name="cheap"),
    )
    made.gateway = replace(made.gateway, facts=Known())
    reply = await made.ask(body=asking(entities={"user": user}))
    assert made.rows[0].provider == provider
    assert reply.call.reason == f"user.tier {'gold' if user == 'u1' else 'unknown'}"


async def test_an_arm_replaces_parameters_and_stands_in_the_ledger():
    arms = (Arm("cool", "base", 1.0, params=b'{"temperature": 0, "max_tokens": 3}'),)
    made, scene = stage(arms=arms)
    await made.ask(body=asking(temperature=1.5))
    assert sent(scene)["temperature"] == 0
    assert sent(scene)["max_tokens"] == 3
    (row,) = made.rows
    assert (row.experiment_id, row.version, row.model) == ("exp_1", "cool", "m")


async def test_the_prompt_of_an_arm_goes_before_the_callers():
    made, scene = stage(arms=(Arm("b", "base", 1.0, prompt="greet:3"),))
    await made.ask(body=asking(prompt_id="another", prompt_variables={"who": "Bo"}))
    assert sent(scene)["messages"][0]["content"] == "Greet Bo of no tier."


async def test_an_arm_without_weight_gets_nobody():
    made, _ = stage(arms=(Arm("a", "nobody", 0.0), Arm("b", "base", 1.0)))
    await made.ask()
    assert made.rows[0].version == "b"


async def test_a_format_without_prompts_is_told_so():
    made, scene = stage(arms=(Arm("b", "base", 1.0, prompt="greet:3"),))
    body = msgspec.json.encode({"model": "m", "input": "Hi"})
    with pytest.raises(UnsupportedOperation):
        await made.ask("responses", body)
    assert not scene.asked


async def test_explaining_fills_the_prompt_and_keeps_nothing():
    made, scene = stage()
    body = asking(prompt_id="greet", entities={"user": "u1"})
    caller = Caller(secret=SECRET, started_s=0.0)
    said = await explain(made.gateway, "chat", body, caller, "req_1")
    assert said["outcome"]["from"] != "refused"
    assert made.gateway.facts.kept == [False]
    assert not scene.asked
