"""A failing provider is not noticed by callers, and does not get more work because it fails."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crowd import crowd
from house_for_tests import opened
from peer import body, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from crowd import Told
    from gatemill.fake_provider.server import FakeProvider

CALLERS = 50
REQUESTS = int(os.environ.get("GATEMILL_TEST_REQUESTS", "300"))  # 2,000 in docs/guides/prove-it.md
WORDS = 40
# The failing provider has short timeouts, so that a hanging one costs no minutes. The good one has
# none of them: a machine that stands still for a moment is no failure.
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-up"
timeout = {{ first_token_s = 0.4, between_chunks_s = 0.4 }}
breaker = {{ {breaker} }}
[providers.well]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-well"
[models.chain]
targets = ["up/{first}"]
fallbacks = ["good"]
[models.alone]
targets = ["up/{first}"]
[models.good]
targets = ["well/fake+words={words}"]
"""
# The defaults, and one that never opens: then only the retry budget protects the provider.
BREAKERS = {"default": "window_s = 30", "never opens": "attempts_min = 1000000"}
MODES = (
    "status=503",
    "overloaded",
    "html-error",
    "error-200",
    "bad-json",
    "hang",
    "abort",
    "close",
    "cut=0",
    "error-event=0",
)


def _asked(model: str, number: int) -> bytes:
    """Every other one a stream; the answer's length is the number's."""
    return body(model, f"number {number}", stream=number % 2 == 0, max_tokens=_words(number))


def _words(number: int) -> int:
    return 1 + number % WORDS


def _is_right(told: Told, number: int) -> bool:
    said = " ".join(f"word{word}" for word in range(_words(number)))
    return told.status == 200 and told.answer.text == said


@pytest.mark.parametrize("mode", MODES)
async def test_a_healthy_second_target_answers_all_requests(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None], mode: str
):
    # Where the mode is one of streams only, complete answers are right ones.
    first = f"fake+words={WORDS}+{mode}"
    config = CONFIG.format(fake=fake.url, first=first, words=WORDS, breaker=BREAKERS["default"])
    async with opened(tmp_path, config) as gate:
        requests = [post(gate, _asked("chain", number)) for number in range(REQUESTS)]
        told = await crowd([gate], requests, CALLERS)
    wrong = [number for number, each in enumerate(told) if not _is_right(each, number)]
    assert wrong == []
    calls = Counter(row.model for row in fake.journal)
    assert calls[first] > 0
    assert calls[first] <= 1.2 * REQUESTS + 3
    say(f"{mode}: {len(told)} right answers, {calls[first]} calls to the failing target")


@pytest.mark.parametrize("breaker", BREAKERS)
@pytest.mark.parametrize("mode", ["status=503", "abort"])
async def test_a_provider_that_fails_always_gets_few_more_calls_than_there_are_requests(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None], mode: str, breaker: str
):
    first = f"fake+{mode}"
    config = CONFIG.format(fake=fake.url, first=first, words=WORDS, breaker=BREAKERS[breaker])
    async with opened(tmp_path, config) as gate:
        requests = [post(gate, _asked("alone", number)) for number in range(REQUESTS)]
        told = await crowd([gate], requests, CALLERS)
    assert {each.status // 100 for each in told} == {5}
    calls = len(fake.journal)
    assert calls <= 1.2 * REQUESTS + 3
    say(f"{mode}, breaker {breaker}: {calls} calls for {REQUESTS} requests")
