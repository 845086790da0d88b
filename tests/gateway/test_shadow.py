"""Copies to another model: nobody waits for them, nobody pays for them, nobody sees them."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec.structs import replace

from gatemill.core.errors import UpstreamUnreachable
from gatemill.core.ports import Incoming
from gatemill.core.tasks import _running
from gatemill.gateway.routes import ShadowRoute
from gateway_parts import PRICE, Stage, asking, route
from playbook import DONE, HELLO, ROLE, STOP, Scripted, target

USED = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
DOWN = UpstreamUnreachable("no")


def answer() -> Incoming:
    return Incoming(200, {}, msgspec.json.encode({"choices": [], "usage": USED}))


def stage_with(real: object, copied: object, *, share: float = 1.0, most: int = 16) -> Stage:
    made = replace(target(real, real), price=PRICE)
    other = replace(target(copied, copied, copied, name="s"), price=PRICE)
    shadow = ShadowRoute("quiet", share, most)
    return Stage(route(made, shadow=shadow), route(other, name="quiet"))


async def over() -> None:
    """Every task in the background has ended."""
    while _running:
        await asyncio.gather(*_running, return_exceptions=True)


def by_key(stage: Stage) -> dict[str, list[tuple[str, int | None, str]]]:
    found: dict[str, list[tuple[str, int | None, str]]] = {}
    for row in stage.rows:
        found.setdefault(row.key_id, []).append((row.provider, row.cost_microusd, row.error))
    return found


async def test_a_copy_goes_to_the_other_model_under_a_key_of_its_own():
    stage = stage_with(answer(), answer())
    reply = await stage.ask()
    await over()
    assert reply.call.attempts[-1].target.provider == "a"
    assert by_key(stage) == {"k1": [("a", 19, "")], "shadow": [("s", 19, "")]}
    sent = stage.gateway.routes.exact["quiet"].targets[0].transport.asked[0]
    assert b'"Hi"' in sent.body
    assert stage.gateway.shadows.in_flight == {"quiet": 0}


async def test_a_copy_that_fails_is_not_noticed():
    stage = stage_with(answer(), DOWN)
    reply = await stage.ask()
    await over()
    assert reply.body
    assert stage.meter.in_flight == 0
    assert {error for _, _, error in by_key(stage)["shadow"]} == {"upstream_unreachable"}


async def test_the_copy_of_a_stream_is_read_to_its_end():
    source = Scripted(ROLE, HELLO, STOP, DONE)
    stage = stage_with(Scripted(ROLE, HELLO, STOP, DONE), source)
    reply = await stage.ask(body=asking(stream=True))
    reply.stream.abort()
    await over()
    source.end()
    assert [error for _, _, error in by_key(stage)["shadow"]] == [""]


async def test_the_copy_of_a_stream_is_under_way_until_its_end():
    source = Scripted(ROLE, HELLO)
    stage = stage_with(Scripted(ROLE, HELLO, STOP, DONE), source, most=1)
    shadows = stage.gateway.shadows
    for _ in range(2):
        reply = await stage.ask(body=asking(stream=True))
        reply.stream.abort()
        await over()
    assert (shadows.in_flight, shadows.dropped) == ({"quiet": 1}, 1)
    source.say(STOP)
    source.say(DONE)
    source.end()
    assert shadows.in_flight == {"quiet": 0}


async def test_no_more_copies_than_allowed_are_under_way():
    stage = stage_with(answer(), answer(), most=1)
    stage.gateway.shadows.in_flight["quiet"] = 1
    await stage.ask()
    await over()
    assert list(by_key(stage)) == ["k1"]
    assert stage.gateway.shadows.dropped == 1


async def test_only_a_share_is_copied():
    stage = stage_with(answer(), answer(), share=0.0)
    await stage.ask()
    await over()
    assert list(by_key(stage)) == ["k1"]
