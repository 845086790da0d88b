import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import InvalidValue
from gatemill.core.limits import UNLIMITED, Budget, Limits
from gatemill.ledger import limits

COUNT = st.none() | st.integers(1, limits.NUMBER_MAX)
BUDGET = st.builds(
    Budget,
    st.sampled_from(limits.PERIODS),
    st.integers(0, limits.NUMBER_MAX),
    st.booleans(),
    st.lists(st.floats(0, 1), max_size=4).map(tuple),
)
LIMITS = st.builds(
    Limits,
    COUNT,
    COUNT,
    COUNT,
    COUNT,
    st.lists(BUDGET, unique_by=lambda budget: budget.period).map(tuple),
)


@given(LIMITS)
def test_limits_come_back_as_they_were(wanted):
    assert limits.decode(limits.encode(wanted)) == wanted


def test_no_limits_are_an_empty_object():
    assert limits.encode(UNLIMITED) == "{}"


def test_equal_limits_are_one_object():
    text = limits.encode(Limits(concurrency=3))
    assert limits.decode(text) is limits.decode(text)


@pytest.mark.parametrize(
    "name", ["requests_per_minute", "requests_per_day", "tokens_per_minute", "concurrency"]
)
@pytest.mark.parametrize("value", [0, -1, 2**53, 1.5, True, "7"])
def test_a_limit_that_is_no_whole_positive_number_is_refused_by_its_name(name, value):
    with pytest.raises(InvalidValue) as refused:
        limits.encode(msgspec.structs.replace(UNLIMITED, **{name: value}))
    assert refused.value.param == f"limits.{name}"


@pytest.mark.parametrize(
    ("budgets", "param"),
    [
        ([Budget("year", 5)], "limits.budgets.period"),
        ([Budget("day", -1)], "limits.budgets.limit_microusd"),
        ([Budget("day", 1.5)], "limits.budgets.limit_microusd"),
        ([Budget("day", None)], "limits.budgets.limit_microusd"),
        ([Budget("day", 5, alert_at=(1.1,))], "limits.budgets.alert_at"),
        ([Budget("day", 5, alert_at=(float("nan"),))], "limits.budgets.alert_at"),
        ([Budget("day", 5, alert_at=(0.1,) * 5)], "limits.budgets.alert_at"),
        ([Budget("day", 5), Budget("day", 6)], "limits.budgets"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_by_the_name_of_the_field(budgets, param):
    with pytest.raises(InvalidValue) as refused:
        limits.encode(Limits(budgets=tuple(budgets)))
    assert refused.value.param == param
