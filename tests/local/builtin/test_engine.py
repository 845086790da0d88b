"""The way to the built-in models: inline or in a thread, bounded, and refusing by name."""

from __future__ import annotations

import asyncio
import threading

import msgspec
import pytest

from gatemill.core.call import Timeouts
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    ModelNotFound,
    UnsupportedOperation,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from gatemill.core.ports import Incoming, Outgoing
from gatemill.local.builtin import engine, sentiment
from gatemill.local.builtin.cards import CARDS, told
from gatemill.local.builtin.engine import Builtins

LONG = "word " * 2000


@pytest.fixture
async def builtins():
    made = Builtins(FakeClock())
    yield made
    await made.close()


def out(model="sentiment", path="/predict", **fields):
    return Outgoing(path, msgspec.json.encode({"model": model, "input": "fine", **fields}))


async def ask(builtins, sent, deadline_s=1e9):
    return await builtins.exchange(sent, Timeouts(), deadline_s)


async def test_small_and_large_requests_are_answered_alike(builtins):
    for text in ("fine", LONG + "fine"):
        got = await ask(builtins, out(input=text))
        assert msgspec.json.decode(got.body)["predictions"][0]["label"] == "positive"


async def test_a_large_request_leaves_the_event_loop(builtins, monkeypatch):
    seen = []

    def answer(body, now_s):
        seen.append(threading.current_thread())
        return {}

    monkeypatch.setattr(sentiment, "answer", answer)
    await ask(builtins, out())
    await ask(builtins, out(input=LONG))
    assert seen[0] is threading.main_thread()
    assert seen[1] is not threading.main_thread()


async def test_more_than_wait_are_refused_and_counted(builtins, monkeypatch):
    monkeypatch.setattr(engine, "WAITING_MAX", 1)
    gate = threading.Event()
    monkeypatch.setattr(sentiment, "answer", lambda body, now_s: gate.wait(60) and {})
    first = asyncio.ensure_future(ask(builtins, out(input=LONG)))
    await asyncio.sleep(0)
    with pytest.raises(UpstreamOverloaded):
        await ask(builtins, out(input=LONG))
    assert (builtins.refused, builtins.waiting) == (1, 1)
    gate.set()
    assert (await first).status == 200
    assert (await ask(builtins, out(input=LONG))).status == 200
    assert builtins.waiting == 0


async def test_the_deadline_ends_the_wait(builtins, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(sentiment, "answer", lambda body, now_s: gate.wait(60) and {})
    with pytest.raises(UpstreamTimeout):
        await ask(builtins, out(input=LONG), deadline_s=0.0)
    gate.set()


async def test_a_name_that_is_none_brings_the_names_that_are(builtins):
    with pytest.raises(ModelNotFound, match="builtin/extract, builtin/sentiment"):
        await ask(builtins, out(model="nothing"))
    assert told("nothing") is None


@pytest.mark.parametrize("name", CARDS)
async def test_a_model_does_only_what_its_card_says(builtins, name):
    for card in CARDS.values():
        if card.path == CARDS[name].path:
            continue
        with pytest.raises(UnsupportedOperation, match=f"builtin/{name} is asked at /v1"):
            await ask(builtins, out(model=name, path=f"{card.path}?x=1"))


async def test_an_open_answer_that_does_not_stream_is_whole(builtins):
    got = await builtins.open(out(), Timeouts(), 1e9)
    assert isinstance(got, Incoming)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_everything(name):
    said = told(name)
    assert said
    assert all(isinstance(value, str) and value for value in said.values())
