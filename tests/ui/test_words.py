"""Numbers in words."""

from __future__ import annotations

import pytest

from gatemill.ui import drawing, words


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (words.number, 1234567, "1,234,567"),
        (words.number, 1.5, "1.5"),
        (words.number, None, "\u2013"),
        (words.short, 999, "999"),
        (words.short, 1234, "1.23k"),
        (words.short, 45_600_000, "45.6M"),
        (words.short, -2_500, "-2.5k"),
        (words.short, None, "\u2013"),
        (words.usd, None, "unknown"),
        (words.usd, 0, "$0"),
        (words.usd, 123, "$0.000123"),
        (words.usd, 178_362, "$0.1784"),
        (words.usd, 0.25, "$0"),
        (words.usd, -0.25, "$0"),
        (words.usd, 200_000, "$0.20"),
        (words.usd, 19_000, "$0.0190"),
        (words.usd, 999_990, "$1.00"),
        (words.usd, 1_340, "$0.001340"),
        (words.usd, -12_340_000, "-$12.34"),
        (words.usd, 1_234_567_890, "$1,235"),
        (words.usd_mark, 5_000, "$0.005"),
        (words.usd_mark, 2_500_000, "$2.50"),
        (words.usd_mark, 0, "$0"),
        (words.usd_mark, None, "unknown"),
        (words.percent, None, "\u2013"),
        (words.percent, 1.0, "100 %"),
        (words.percent, 0.9996, "99.96 %"),
        (words.percent, 0.25, "25.0 %"),
        (words.percent, 0.00001, "< 0.01 %"),
        (words.percent, 0.0, "0 %"),
        (words.duration, None, "\u2013"),
        (words.duration, 0.42, "0.42 ms"),
        (words.duration, 8.6e-8, "< 0.01 ms"),
        (words.duration, 0, "0 ms"),
        (words.duration, 812.4, "812 ms"),
        (words.duration, 1250, "1.25 s"),
        (words.duration, 200_000, "3 min 20 s"),
        (words.span, None, "\u2013"),
        (words.span, 0, "0 s"),
        (words.span, 90_061, "1 d 1 h"),
        (words.moment, 0, "1970-01-01 00:00:00 UTC"),
        (words.moment, None, "\u2013"),
        (words.iso, 0, "1970-01-01T00:00:00Z"),
        (words.size, None, "\u2013"),
        (words.size, 512, "512 B"),
        (words.size, 1_572_864, "1.5 MiB"),
        (words.size, 1_030_000, "1006 KiB"),
        (words.size, 1 << 60, "1048576 TiB"),
    ],
)
def test_a_number_is_told_as_people_read_it(write, value, text):
    assert write(value) == text


@pytest.mark.parametrize(
    ("at_s", "text"),
    [(100.0, "now"), (40.0, "1 min ago"), (220.0, "in 2 min"), (None, "\u2013")],
)
def test_a_moment_is_told_from_the_present(at_s, text):
    assert words.ago(at_s, 100.0) == text


@pytest.mark.parametrize(
    ("value", "unpriced", "text"),
    [(0, 0, "$0"), (200_000, 0, "$0.20"), (200_000, 3, "$0.20+"), (0, 3, "unknown")],
)
def test_a_sum_of_money_says_when_it_does_not_know_all(value, unpriced, text):
    assert words.spent(value, unpriced) == text
    tile = {"kind": "usd", "value": value, "unpriced": unpriced}
    assert drawing.told(tile) == text


def test_a_tile_says_its_number_as_its_kind_says():
    assert drawing.told({"kind": "percent", "value": 0.25}) == "25.0 %"
