"""Kept answers stay with whom they are for, whatever is asked at once and whatever the store says."""

from __future__ import annotations

import random

import pytest

from gatemill.core.call import Key
from gatemill.core.errors import CacheMiss
from gatemill.gateway.recall import _encode
from playbook import DONE, STOP, delta
from recall_stage import KEY, Flowing, Heard, Stage, asking, body, counts, turn

MATE = Key(id="mate", name="", team_id="t")
STRANGER = Key(id="stranger", name="", team_id="u")


@pytest.mark.parametrize(
    ("scope", "shared"),
    [("key", {"k"}), ("team", {"k", "mate"}), ("all", {"k", "mate", "stranger"})],
)
async def test_answers_stay_within_their_scope(scope, shared):
    stage = Stage(scope=scope)
    await stage.answered(asking(key=KEY))
    for key in (KEY, MATE, STRANGER):
        if key.id in shared:
            await stage.hit(asking(key=key))
        else:
            with pytest.raises(CacheMiss):
                await stage.ask(asking(key=key), "only-if-cached")


class Town:
    """Two tenants who ask the same questions, in an order that chance makes."""

    def __init__(self) -> None:
        self.rng = random.Random(2026)
        self.stage = Stage(scope="team", similar_model="e", embed=_nearly_equal)
        self.tasks: list = []
        self.flowing: list[Flowing] = []

    async def ask(self) -> None:
        rng = self.rng
        key = (MATE, STRANGER)[rng.random() < 0.5]
        call = asking(f"q{rng.randrange(20)}", key=key, **rng.choice([{}, {}, {"stream": True}]))
        call.deadline_s = 1e9
        header = rng.choice(["", "", "no-cache", "max-age=5"])
        self.tasks.append((call, await self.stage.begun(call, header)))
        if rng.random() < 0.1:
            self.tasks[rng.randrange(len(self.tasks))][1].cancel()

    def answer(self, share: float) -> None:
        """Some streams end, and some questions are answered."""
        for source in [one for one in self.flowing if self.rng.random() < share]:
            self.flowing.remove(source)
            source.say(STOP + DONE)
            source.end()
        asked = self.stage.provider.asked
        for call, future in asked:
            if not future.done() and self.rng.random() < share:
                future.set_result(_named(call, self.flowing))
        del asked[:-300]

    def given(self, call, reply) -> bytes:
        """What the caller got."""
        if reply.stream is None:
            return reply.body
        return Heard(reply.stream).attach().sink.data


async def test_two_thousand_operations_of_two_tenants_never_meet():
    """Every answer names its tenant; streams, hang-ups and calls under way included."""
    town = Town()
    for _ in range(2000):
        await town.ask()
        town.answer(0.1)
        town.stage.clock.advance(town.rng.random() * 5)
    for _ in range(100):
        town.answer(1)
        await turn()
    assert not town.stage.recall._flights
    assert all(task.done() for _, task in town.tasks)
    replies = [(call, task.result()) for call, task in town.tasks if not task.cancelled()]
    for call, reply in replies:
        said = town.given(call, reply)
        assert said.count(b"for u!") == (call.key.team_id == "u")
        assert said.count(b"for t!") == (call.key.team_id == "t")
    assert len(replies) > 1500
    assert sum(reply.stream is not None for _, reply in replies) > 300
    assert min(counts(town.stage)[i] for i in (0, 1, 3)) > 100


async def _nearly_equal(call, model, text):
    return [1.0, 0.001 * int(text[1:])]


def _named(call, flowing):
    """An answer that only this call's tenant may see."""
    secret = f"for {call.key.team_id}!"
    if not call.head.stream:
        return body(secret)
    source = Flowing(delta(content=secret))
    flowing.append(source)
    return source


async def test_a_store_that_gives_another_questions_answer_is_not_believed():
    class Confused:
        async def get(self, key):
            return value

        def put(self, key, kept, keep_s):
            nonlocal value
            value = kept

        async def close(self):
            pass

    value = None
    stage = Stage(store=Confused())
    await stage.answered(asking("one"))
    assert value is not None
    await stage.hit(asking("one"))
    await stage.answered(asking("two"), body("Two"))


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"\x90", _encode((b"d" * 32, "late", False, (), b"x")), _encode([1])]
)
async def test_bytes_in_the_store_that_nobody_wrote_are_a_miss(value):
    stage = Stage()
    digest, _, _ = await stage.recall.state(stage.route, asking(), "v")
    stage.store.put(bytes.fromhex(digest), value, 100)
    await stage.answered(asking())
