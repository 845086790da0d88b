from __future__ import annotations

import pytest

from gatemill.runner import memory
from gatemill.runner.engine import CannotLoad
from gatemill.runner.memory import Shape

LLAMA_1B = Shape(layers=16, heads=8, head_size=64, number_bytes=2)


def test_a_token_takes_its_keys_and_values():
    assert LLAMA_1B.token_bytes == 2 * 16 * 8 * 64 * 2


def test_a_cache_never_exceeds_its_bytes():
    for cache_bytes in (64 << 20, 256 << 20, (1 << 30) + 1):
        plan = memory.planned(LLAMA_1B, cache_bytes, 1 << 30, "cuda")
        assert plan.cache_bytes <= cache_bytes
        assert plan.cache_bytes > 0.9 * cache_bytes
        assert plan.tokens == (plan.pages - 1) * plan.page_tokens


def test_a_cache_is_no_larger_than_all_answers_together():
    plan = memory.planned(LLAMA_1B, 1 << 40, 2048, "cpu")
    assert plan.pages == 2048 // memory.PAGE_TOKENS + 1
    assert plan.tokens == 2048


def test_a_cache_too_small_for_anything_is_refused_with_numbers():
    with pytest.raises(CannotLoad, match=r"cache_bytes is 1.0 MiB, and 256 tokens need 8.\d MiB"):
        memory.planned(LLAMA_1B, 1 << 20, 2048, "cpu")


def test_what_does_not_fit_is_refused_with_numbers():
    memory.check(3 << 20, 1 << 20, 4 << 20)
    memory.check(3 << 20, 1 << 20, None)
    with pytest.raises(
        CannotLoad, match=r"4.0 MiB \(weights 3.0 MiB, cache 1.0 MiB\), and 2.0 MiB"
    ):
        memory.check(3 << 20, 1 << 20, 2 << 20)


def test_this_machine_says_what_is_free_and_what_we_take():
    free = memory.free_bytes()
    assert free is None or free > 0
    assert memory.resident_bytes() > 1 << 20
