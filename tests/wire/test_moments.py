"""Moments as people write them."""

from __future__ import annotations

import pytest

from gatemill.core.errors import InvalidValue
from gatemill.wire.moments import iso, moment_s

NOW_S = 1_795_219_200.0


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("7d", NOW_S - 7 * 86_400),
        ("12H", NOW_S - 12 * 3600),
        ("90m", NOW_S - 5400),
        ("45s", NOW_S - 45),
        ("2w", NOW_S - 14 * 86_400),
        ("999999999d", 0.0),
        ("1793491200", 1_793_491_200.0),
        ("1793491200.5", 1_793_491_200.5),
        ("1970-01-02", 86_400.0),
        ("1970-01-02T00:00:00Z", 86_400.0),
        ("1970-01-02T01:00:00+01:00", 86_400.0),
        (" 1970-01-02 ", 86_400.0),
        ("0001-01-01", 0.0),
    ],
)
def test_a_moment_is_read(text, unix_s):
    assert moment_s(text, NOW_S, "since") == unix_s


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7y", "6M", "-1d", "2026-13-01", "1d1h", "\u0667d"]
)
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(InvalidValue, match="since") as refusal:
        moment_s(text, NOW_S, "since")
    assert refusal.value.param == "since"


def test_a_moment_is_written_in_utc():
    assert iso(86_400.9) == "1970-01-02T00:00:00Z"
