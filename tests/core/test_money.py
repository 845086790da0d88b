"""Money: one rounding, and amounts for people."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.money import PICO_PER_MICRO, dollars, microusd


@given(st.integers(0, 10**24))
def test_micro_dollars_are_rounded_half_up(pico):
    exact = Decimal(pico) / PICO_PER_MICRO
    assert microusd(pico) == exact.quantize(Decimal(1), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("amount_microusd", "text"),
    [
        (0, "$0.000000"),
        (1, "$0.000001"),
        (999_999, "$0.999999"),
        (1_000_000, "$1.000000"),
        (12_345_678_901, "$12345.678901"),
        (-1, "-$0.000001"),
        (-1_500_000, "-$1.500000"),
    ],
)
def test_an_amount_is_written_with_six_decimals(amount_microusd, text):
    assert dollars(amount_microusd) == text


@given(st.integers(-(10**18), 10**18))
def test_no_amount_is_lost_in_writing(amount_microusd):
    assert Decimal(dollars(amount_microusd).replace("$", "")) * 10**6 == amount_microusd
