"""The guard `presidio`: its process, for better and worse; the real analyser where it is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import heavy
from gatemill.core.errors import GuardUnavailable
from gatemill.core.guard import Finding
from gatemill.local import presidio
from gatemill.local.presidio import Bounds, Presidio
from gatemill.local.presidio_child import Options
from playbook import call


@pytest.fixture
async def made(monkeypatch):
    """Makes guards whose process is a stand-in."""
    monkeypatch.setattr(presidio, "_PACKAGE", "json")
    monkeypatch.setattr(presidio, "CHILD", str(Path(__file__).with_name("presidio_play.py")))
    every = []

    def make(timeout_s=20.0, waiting_max=2):
        every.append(Presidio(Options("en", ""), Bounds(timeout_s, waiting_max)))
        return every[-1]

    yield make
    for one in every:
        await one.close()


async def test_places_come_in_bytes_and_the_process_stays(made):
    guard = made()
    for _ in range(2):
        assert await guard.judge(["äbc", ""], call(), "input") == [
            [Finding(2, 4, "presidio", "name", 0.9)],
            [],
        ]
    assert guard.restarts == 0


@pytest.mark.parametrize("text", ["die", "babble"])
async def test_a_process_that_fails_fails_one_request(made, text):
    guard = made()
    with pytest.raises(GuardUnavailable, match="has ended"):
        await guard.judge([text], call(), "input")
    assert await guard.judge(["ab"], call(), "input")
    assert guard.restarts == 1


async def test_a_process_that_cannot_read_says_why(made):
    with pytest.raises(GuardUnavailable, match="no pipeline"):
        await made().judge(["error"], call(), "input")


async def test_one_that_hangs_is_ended_and_those_who_wait_are_bounded(made):
    guard = made(timeout_s=1.0, waiting_max=1)
    hanging = asyncio.ensure_future(guard.judge(["hang"], call(), "input"))
    await asyncio.sleep(0)
    with pytest.raises(GuardUnavailable, match="1 requests wait"):
        await guard.judge(["ab"], call(), "input")
    with pytest.raises(GuardUnavailable, match="in time"):
        await hanging
    assert guard.waiting == 0
    assert guard.restarts == 1


@heavy.needs("presidio_analyzer")
async def test_the_real_analyser_finds_a_card_without_a_network():
    guard = Presidio(Options("en", ""), Bounds(120.0, 4))
    text = "My card is 4111 1111 1111 1111, mail me at jane@example.com"
    (found,) = await guard.judge([text], call(), "input")
    kinds = {one.kind: text.encode()[one.start : one.end].decode() for one in found}
    assert kinds["credit_card"] == "4111 1111 1111 1111"
    assert kinds["email_address"] == "jane@example.com"
    await guard.close()
