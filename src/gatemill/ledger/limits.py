"""Limits as the database holds them: checked, as JSON. Rule: what is stored can be counted by every engine."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from gatemill.core.errors import InvalidValue
from gatemill.core.limits import Budget, Limits

# New limits, or what makes them of the old ones. The latter runs within the transaction, so that two
# changes of different limits at the same moment both hold.
Change = Limits | Callable[[Limits], Limits]


class _Limited(Protocol):
    @property
    def limits(self) -> Limits: ...


T = TypeVar("T", bound=_Limited)

PERIODS = ("day", "week", "month", "total")
SHARES_MAX = 4
NUMBER_MAX = 2**53 - 1  # the largest integer that Redis's scripts count exactly
_PLAIN = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "concurrency")


@functools.lru_cache(10_000)
def decode(text: str) -> Limits:
    """The limits of a row; equal texts share one object, since most keys have equal limits."""
    return msgspec.json.decode(text, type=Limits)


def replaced(old: T, changes: dict[str, Any]) -> T:
    """`old` with the values of `changes`, of which `limits` may be a function of the old ones."""
    made = changes.get("limits")
    if callable(made):
        changes = {**changes, "limits": made(old.limits)}
    untyped: Any = old  # a Struct, which a Protocol cannot say
    new: T = replace(untyped, **changes)
    return new


def encode(limits: Limits) -> str:
    """The text of a row. Raises InvalidValue by the name of the field at fault."""
    for name in _PLAIN:
        value = getattr(limits, name)
        if value is not None:
            _check_count(name, value, 1)
    for budget in limits.budgets:
        _check_budget(budget)
    periods = [budget.period for budget in limits.budgets]
    if len(set(periods)) < len(periods):
        raise InvalidValue(
            "There are two budgets for one period. Leave one of them out.", param="limits.budgets"
        )
    return msgspec.json.encode(limits).decode()


def _check_budget(budget: Budget) -> None:
    if budget.period not in PERIODS:
        raise InvalidValue(
            f"A budget's period is one of {', '.join(PERIODS)}.", param="limits.budgets.period"
        )
    _check_count("budgets.limit_microusd", budget.limit_microusd, 0)
    if len(budget.alert_at) > SHARES_MAX or not all(0 <= share <= 1 for share in budget.alert_at):
        raise InvalidValue(
            f"alert_at holds at most {SHARES_MAX} shares of the budget, from 0 to 1, such as 0.8.",
            param="limits.budgets.alert_at",
        )


def _check_count(name: str, value: int, least: int) -> None:
    if type(value) is not int or not least <= value <= NUMBER_MAX:
        raise InvalidValue(
            f"{name} must be a whole number from {least} to {NUMBER_MAX}.",
            param=f"limits.{name}",
        )
