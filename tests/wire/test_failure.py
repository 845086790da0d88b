"""What a provider's refusal says, made fit to be passed on."""

from __future__ import annotations

import pytest

from gatemill.wire.failure import RETRY_AFTER_S_MAX, clean, retry_after_s

NOW = "Sat, 21 Nov 2026 04:00:00 GMT"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdef123456",
        "sk-proj-a*****b",
        "gsk_0123456789",
        "Bearer abc.def",
        "AIzaSyABCDEFGHIJK",
        "api-key12345",
    ],
)
def test_nothing_like_a_key_is_passed_on(secret):
    said = clean(f"Incorrect API key provided: {secret}. Look here.")
    assert secret not in said
    assert said.startswith("Incorrect API key provided: [redacted]")


def test_control_characters_vanish_and_length_is_bounded():
    assert clean("a\r\nb\x1b[31mc\x00") == "a b [31mc"
    assert len(clean("x" * 10_000)) == 500
    assert clean(None) == clean("") == ""


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "Sat, 21 Nov 2026 04:00:30 GMT", "date": NOW}, 30),
        ({"retry-after": "Sat, 21 Nov 2026 03:00:30 GMT", "date": NOW}, None),
        ({"retry-after": "Sat, 21 Nov 2026 04:00:30 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": str(RETRY_AFTER_S_MAX + 1)}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": f"Sat, 21 Nov 2026 04:00:30 +{'9' * 20}", "date": NOW}, None),
    ],
)
def test_the_wait_is_read_when_it_makes_sense(headers, wait_s):
    assert retry_after_s(headers) == wait_s
