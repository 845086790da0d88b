"""Which context windows a request fits."""

from __future__ import annotations

import pytest

from gatemill.policy.context import fits, is_hopeless


@pytest.mark.parametrize(
    ("window", "prompt", "output", "expected"),
    [
        (None, 10**9, None, True),
        (1000, 900, 100, True),
        (1000, 900, 101, False),
        (100_000, 98_976, None, True),
        (100_000, 98_977, None, False),
        (1000, 750, None, True),
        (1000, 751, None, False),
        (1000, 1000, 0, True),
    ],
)
def test_prompt_and_answer_need_room(window, prompt, output, expected):
    assert fits(window, prompt, output) is expected


@pytest.mark.parametrize(
    ("window", "prompt", "expected"),
    [(None, 10**9, False), (1000, 1500, False), (1000, 1501, True)],
)
def test_only_what_no_error_of_ours_explains_is_hopeless(window, prompt, expected):
    assert is_hopeless(window, prompt) is expected
