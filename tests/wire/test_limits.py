"""Limits as JSON and as words."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import InvalidRequest
from gatemill.core.limits import UNLIMITED, Budget, Limits
from gatemill.wire import limits

COUNTS = st.none() | st.integers(1, limits.COUNT_MAX)
BUDGETS = st.lists(
    st.builds(
        Budget,
        st.sampled_from(limits.PERIODS),
        st.integers(0, limits.COUNT_MAX),
        st.booleans(),
        st.lists(st.sampled_from([0.0, 0.5, 0.8, 1.0]), max_size=4).map(tuple),
    ),
    unique_by=lambda budget: budget.period,
    max_size=4,
).map(lambda found: tuple(sorted(found, key=lambda each: limits.PERIODS.index(each.period))))
LIMITS = st.builds(Limits, COUNTS, COUNTS, COUNTS, COUNTS, BUDGETS)
decode = msgspec.json.Decoder(float_hook=Decimal).decode


@given(LIMITS)
def test_what_is_shown_can_be_read_again(found):
    assert limits.read(decode(msgspec.json.encode(limits.shown(found)))) == found


@given(LIMITS, LIMITS)
def test_what_is_not_named_stays(before, after):
    assert limits.read({}, before) == before
    changed = limits.read(limits.shown(after), before)
    for name in limits.COUNTS:
        wanted = getattr(after, name)
        assert getattr(changed, name) == (getattr(before, name) if wanted is None else wanted)
    periods = {budget.period for budget in before.budgets + after.budgets}
    assert {budget.period for budget in changed.budgets} == periods
    assert set(after.budgets) <= set(changed.budgets)


@given(LIMITS)
def test_null_takes_every_limit_away(before):
    nothing = {**dict.fromkeys(limits.COUNTS), "budgets": None}
    assert limits.read(nothing, before) == UNLIMITED
    none = {"budgets": dict.fromkeys(limits.PERIODS)}
    assert limits.read(none, before).budgets == ()


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("50", 50_000_000),
        (50, 50_000_000),
        ("0.000001", 1),
        (Decimal("0.1"), 100_000),
        (0.1, 100_000),
        (1e-06, 1),
        (Decimal("1e2"), 100_000_000),
        (0, 0),
    ],
)
def test_dollars_are_read_exactly(value, amount):
    assert limits.microusd(value, "usd") == amount


@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "1e2", "1.0000001", " 1", "1,5", "$5", "\u0661", "nan", "99999999999"),
        *(-1, True, None, [], 1e300, float("nan"), float("inf"), Decimal("0.0000001")),
    ],
)
def test_what_is_no_money_is_refused(value):
    with pytest.raises(InvalidRequest) as refusal:
        limits.microusd(value, "a.b")
    assert refusal.value.param == "a.b"


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ([], "limits"),
        ({"rpm": 1}, "limits.rpm"),
        ({"concurrency": 0}, "limits.concurrency"),
        ({"concurrency": 1.5}, "limits.concurrency"),
        ({"concurrency": True}, "limits.concurrency"),
        ({"tokens_per_minute": 2**53}, "limits.tokens_per_minute"),
        ({"budgets": []}, "limits.budgets"),
        ({"budgets": {"year": {"usd": 1}}}, "limits.budgets.year"),
        ({"budgets": {"day": 5}}, "limits.budgets.day"),
        ({"budgets": {"day": {}}}, "limits.budgets.day.usd"),
        ({"budgets": {"day": {"usd": 1, "soft": True}}}, "limits.budgets.day.soft"),
        ({"budgets": {"day": {"usd": 1, "hard": 1}}}, "limits.budgets.day.hard"),
        ({"budgets": {"day": {"usd": 1, "alert_at": 1}}}, "limits.budgets.day.alert_at"),
        ({"budgets": {"day": {"usd": 1, "alert_at": [True]}}}, "limits.budgets.day.alert_at"),
        ({"budgets": {"day": {"usd": 1, "alert_at": [1.1]}}}, "limits.budgets.day.alert_at"),
        ({"budgets": {"day": {"usd": 1, "alert_at": [1] * 5}}}, "limits.budgets.day.alert_at"),
    ],
)
def test_a_mistake_names_its_field_and_a_remedy(said, param):
    with pytest.raises(InvalidRequest) as refusal:
        limits.read(said)
    assert refusal.value.param == param
    assert param in refusal.value.message
    assert any(word in refusal.value.message for word in ("Send", "send", "Use"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50/month", ("month", {"usd": "50.000000"})),
        (" $0.5/Day", ("day", {"usd": "0.500000"})),
        ("none/total", ("total", None)),
    ],
)
def test_a_budget_in_words_is_read(text, expected):
    assert limits.option(text, "--budget") == expected


@pytest.mark.parametrize("text", ["50", "50/year", "/day", "x/day", "-1/day", ""])
def test_words_that_are_no_budget_are_refused(text):
    with pytest.raises(InvalidRequest, match="--budget"):
        limits.option(text, "--budget")


def test_a_line_says_all_limits():
    budgets = (Budget("day", 500_000), Budget("total", 20_000_000, hard=False))
    found = Limits(60, 1000, 5000, 3, budgets)
    expected = "60 rpm, 1000 rpd, 5000 tpm, 3 at once, $0.50/day, $20/total (soft)"
    assert limits.words(found) == expected
    assert limits.words(UNLIMITED) == ""
    assert limits.words(Limits(budgets=(Budget("day", 0),))) == "$0/day"


def test_money_for_programs_has_six_decimals():
    amounts = (0, 1, 1_000_000, -1_500_000)
    assert [limits.usd(amount) for amount in amounts] == [
        "0.000000",
        "0.000001",
        "1.000000",
        "-1.500000",
    ]
