"""The guard `moderation`: a request of our own, billed to the call that it serves; what it makes of the answer."""

from __future__ import annotations

import asyncio
import weakref

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.errors import GuardUnavailable, UpstreamUnreachable
from gatemill.core.guard import Finding
from gatemill.core.ports import Incoming
from gatemill.gateway import moderation
from gatemill.gateway.moderation import Moderation
from gatemill.wire.harms import CATEGORIES
from gatemill.wire.moderations import Moderations
from gateway_parts import KEY, PRICE, Stage, route
from playbook import call, target

QUIET = dict.fromkeys(CATEGORIES, 0.0)


def result(**scores):
    named = {name.replace("_", "-"): score for name, score in scores.items()}
    flags = {name: named.get(name, 0.0) >= 0.5 for name in CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {**QUIET, **named},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def answer(*results):
    body = {"id": "modr-1", "model": "m", "results": list(results)}
    return Incoming(200, {}, msgspec.json.encode(body | {"usage": {"prompt_tokens": 4}}))


def made(*answers):
    asked = replace(target(*answers), price=PRICE)
    asked = replace(asked, settings=replace(asked.settings, native=frozenset(("moderations",))))
    stage = Stage(route(asked, name="judge"))
    stage.gateway = replace(
        stage.gateway, surfaces={**stage.gateway.surfaces, "moderations": Moderations("judge")}
    )
    judge = Moderation("judge", 5.0)
    judge.gateway = weakref.ref(stage.gateway)
    return stage, judge


def served(**key):
    found = call()
    found.key = replace(KEY, **key)
    return found


async def test_each_category_is_a_finding_over_the_whole_text_and_the_caller_pays():
    stage, judge = made(answer(result(violence=0.9, hate=0.2), result()))
    one = served()
    found = await judge.judge(["Grüße, du Schuft", "hello"], one, "input")
    length = len("Grüße, du Schuft".encode())
    assert found == [
        [
            Finding(0, length, "moderation", "hate", 0.2),
            Finding(0, length, "moderation", "violence", 0.9),
        ],
        [],
    ]
    (row,) = stage.rows
    assert (row.key_id, row.operation, row.cost_microusd) == ("k1", "moderations", 4)
    assert row.request_id == f"{one.id}-moderation-input"
    assert one.besides_microusd == 4
    assert one.attempts == []


async def test_the_model_is_the_configurations_choice_not_the_callers():
    _, judge = made(answer(result(sexual=1.0)))
    found = await judge.judge(["x"], served(models=("gpt-*",)), "output")
    assert [one.kind for one in found[0]] == ["sexual"]


async def test_a_long_text_is_judged_in_pieces_that_overlap_and_the_worst_counts(monkeypatch):
    monkeypatch.setattr(moderation, "PIECES_MAX", 2)
    stage, judge = made(
        answer(result(), result(hate=0.3)), answer(result(hate=0.8), result(violence=0.7))
    )
    step = moderation.PIECE_CHARS - moderation.OVERLAP_CHARS
    found = await judge.judge(["a" * (2 * step + 500), "b"], served(), "input")
    assert [[(one.kind, one.score) for one in some] for some in found] == [
        [("hate", 0.8)],
        [("violence", 0.7)],
    ]
    assert [row.request_id[-2:] for row in stage.rows] == ["ut", "-2"]


async def test_white_space_needs_no_judge():
    stage, judge = made()
    assert await judge.judge([" \n", ""], served(), "input") == [[], []]
    assert stage.rows == []


async def test_who_asks_for_a_moderation_gets_it():
    stage, judge = made()
    one = served()
    one.operation = "moderations"
    assert await judge.judge(["violence"], one, "input") == [[]]
    assert stage.rows == []


@pytest.mark.parametrize(
    "answers",
    [
        (UpstreamUnreachable("gone"),) * 3,
        (Incoming(400, {}, b"{}"),),
        (Incoming(200, {}, b'{"results": "what?"}'),),
        (answer(result(), result()),),  # more than was asked
    ],
)
async def test_a_judge_without_an_answer_is_unavailable(answers):
    stage, judge = made(*answers)
    with pytest.raises(GuardUnavailable):
        await judge.judge(["x"], served(), "input")
    assert len(stage.rows) == len(answers), "what was asked is written down"


async def test_a_model_that_is_not_there_is_unavailable():
    stage, _ = made()
    judge = Moderation("nobody", 5.0)
    judge.gateway = weakref.ref(stage.gateway)
    with pytest.raises(GuardUnavailable, match="does not exist"):
        await judge.judge(["x"], served(), "input")


async def test_the_judgement_ends_with_the_call_that_it_serves():
    _, judge = made(answer(result()))
    one = served()
    one.deadline_s = -1.0
    with pytest.raises(GuardUnavailable):
        await judge.judge(["x"], one, "input")


async def test_a_caller_who_hangs_up_ends_the_judgement_and_it_is_written_down(monkeypatch):
    stage, judge = made()
    begun = asyncio.Event()

    async def waiting(*_):
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(moderation, "attempt", waiting)
    judging = asyncio.ensure_future(judge.judge(["x"], served(), "input"))
    await begun.wait()
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    assert stage.rows == [], "no provider was asked"
