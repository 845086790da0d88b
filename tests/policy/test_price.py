from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.call import Price, Usage
from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.core.money import microusd
from gatemill.policy.price import cost_pico, flat, per_token_pico

TOKENS = st.integers(0, 10_000_000)
RATE = st.integers(0, 600_000_000)
USAGES = st.builds(Usage, *[TOKENS] * 8)
RATES = dict.fromkeys(
    [
        *("input", "output", "cache_read", "cache_write", "cache_write_1h"),
        *("input_audio", "output_audio", "request"),
    ],
    RATE,
)
FLAT = st.builds(Price, **RATES)


@st.composite
def tiered(draw):
    starts = sorted(draw(st.sets(st.integers(1, 1_000_000), max_size=3)))
    tiers = tuple(msgspec.structs.replace(draw(FLAT), above_tokens=start) for start in starts)
    return msgspec.structs.replace(draw(FLAT), tiers=tiers)


def buckets(usage):
    return {name: getattr(usage, name) for name in usage.__struct_fields__ if name != "estimated"}


@given(FLAT, USAGES)
def test_each_token_is_billed_once_at_the_rate_of_its_bucket(price, usage):
    rate_of = {"reasoning": price.output} | {name: getattr(price, name) for name in RATES}
    expected = sum(count * rate_of[bucket] for bucket, count in buckets(usage).items())
    assert cost_pico(price, usage) == expected + price.request


@given(FLAT, USAGES, USAGES)
def test_without_tiers_two_calls_cost_the_sum_of_both(price, one, other):
    more = buckets(other)
    both = Usage(**{name: count + more[name] for name, count in buckets(one).items()})
    total = cost_pico(price, one) + cost_pico(price, other)
    assert cost_pico(price, both) + price.request == total


@given(tiered(), USAGES)
def test_the_highest_tier_below_the_prompt_sets_every_rate(price, usage):
    reached = [tier for tier in (price, *price.tiers) if tier.above_tokens < usage.prompt]
    rates = msgspec.structs.replace(reached[-1] if reached else price, tiers=())
    assert cost_pico(price, usage) == cost_pico(rates, usage)


@given(tiered(), USAGES)
def test_a_cost_is_a_whole_number_and_never_negative(price, usage):
    cost = cost_pico(price, usage)
    assert type(cost) is int
    assert cost >= 0


def test_a_prompt_of_exactly_the_threshold_stays_below_it():
    long = Price(20, 0, 0, 0, 0, 0, 0, above_tokens=200_000)
    price = Price(10, 0, 0, 0, 0, 0, 0, tiers=(long,))
    assert cost_pico(price, Usage(input=200_000)) == 2_000_000
    assert cost_pico(price, Usage(input=1, cache_read=200_000)) == 20


def test_a_familiar_bill():
    price = flat({"input": 2.5, "output": 10, "cache_read": 1.25}, "p", "test")
    usage = Usage(input=1_000, cache_read=400, output=300, reasoning=200)
    assert microusd(cost_pico(price, usage)) == 2_500 + 500 + 5_000


@given(st.decimals(0, 10_000, places=6, allow_nan=False))
def test_dollars_written_by_hand_are_taken_exactly(usd):
    assert per_token_pico(str(usd), "p") == usd * 1_000_000
    assert per_token_pico(usd, "p") == usd * 1_000_000


@given(st.integers(0, 10_000_000_000))
def test_a_float_is_taken_as_it_reads(micro):
    usd = micro / 1_000_000
    assert per_token_pico(usd, "p") == Decimal(str(usd)) * 1_000_000


def test_what_has_no_rate_of_its_own_costs_what_its_side_costs():
    price = flat({"input": 3, "output": 15}, "p", "config")
    read, written = 3_000_000, 15_000_000
    assert price == Price(read, written, read, read, read, read, written, source="config")


def test_tokens_kept_for_an_hour_cost_what_others_cost_that_are_written():
    rates = {"input": 3, "output": 15, "cache_write": 3.75}
    assert flat(rates, "p", "config").cache_write_1h == 3_750_000
    assert flat(rates | {"cache_write_1h": 6}, "p", "config").cache_write_1h == 6_000_000


@pytest.mark.parametrize("missing", ["input", "output"])
def test_a_price_without_input_or_output_is_refused(missing):
    rates = {"input": 1, "output": 1}
    del rates[missing]
    with pytest.raises(InvalidValue, match="needs input and output") as refused:
        flat(rates, "prices.fast", "config")
    assert refused.value.param == "prices.fast"


def test_an_unknown_rate_is_named_with_the_known_ones():
    with pytest.raises(InvalidValue, match=r"`ouput`.*cache_read"):
        flat({"input": 1, "output": 1, "ouput": 1}, "prices.fast", "config")


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "1e400000", "cheap", 10_001, ""])
def test_a_rate_that_cannot_be_is_refused(bad):
    with pytest.raises(InvalidValue) as refused:
        flat({"input": bad, "output": 1}, "prices.fast", "config")
    assert refused.value.param == "prices.fast.input"


@pytest.mark.parametrize("bad", [None, True, [1], {"a": 1}])
def test_a_rate_that_is_no_number_is_refused(bad):
    with pytest.raises(InvalidType):
        flat({"input": 1, "output": bad}, "prices.fast", "config")
