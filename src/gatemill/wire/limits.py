"""Limits as people write them: JSON in the admin API, words such as 50/month on the command line.

Rule: money is dollars with at most six decimals outside, and whole micro-dollars inside.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec.structs import replace

from gatemill.core.errors import InvalidType, InvalidValue, MissingParameter, UnsupportedParameter
from gatemill.core.limits import UNLIMITED, Budget, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.ports import Json

PERIODS = ("day", "week", "month", "total")
COUNTS = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "concurrency")
COUNT_MAX = 2**53 - 1  # the largest whole number that every JSON reader and every engine has
SHARES_MAX = 4  # of one budget at which somebody is told
_USD_MAX = Decimal(COUNT_MAX) / 1_000_000
_MONEY = re.compile(r"\d{1,10}(\.\d{1,6})?", re.ASCII)
_NAMES = (*COUNTS, "budgets")
_BUDGET_NAMES = ("usd", "hard", "alert_at")


def read(said: Any, before: Limits = UNLIMITED, at: str = "limits") -> Limits:
    """`before` with what is said: an absent name stays, null takes it away, budgets by period.

    `said` is decoded JSON, `at` the path of it for errors. Raises InvalidType, InvalidValue,
    MissingParameter and UnsupportedParameter.
    """
    values = _object(said, at, _NAMES)
    counts = {name: _count(values[name], f"{at}.{name}") for name in COUNTS if name in values}
    limits = replace(before, **counts)
    if "budgets" not in values:
        return limits
    return replace(limits, budgets=_budgets(values["budgets"], before.budgets, f"{at}.budgets"))


def shown(limits: Limits) -> Json:
    """The limits as `read` takes them; unlimited is absent."""
    said: Json = {name: value for name in COUNTS if (value := getattr(limits, name)) is not None}
    if limits.budgets:
        said["budgets"] = {
            each.period: {
                "usd": usd(each.limit_microusd),
                "hard": each.hard,
                "alert_at": list(each.alert_at),
            }
            for each in sorted(limits.budgets, key=lambda each: PERIODS.index(each.period))
        }
    return said


def option(text: str, param: str) -> tuple[str, Json | None]:
    """The period and the budget, as `read` takes it, that 50/month or 0.5/day means; none/day is None.

    Raises InvalidValue.
    """
    amount, slash, period = text.strip().lower().partition("/")
    if not slash or period not in PERIODS:
        raise InvalidValue(
            f"{param} {text[:40]}: is no budget. Write dollars and a period, such as 50/month, with"
            f" one of {', '.join(PERIODS)}; none/month ends it.",
            param=param,
        )
    if amount == "none":
        return period, None
    return period, {"usd": usd(microusd(amount.removeprefix("$"), param))}


def microusd(value: Any, param: str) -> int:
    """Dollars, as text or as a number that was decoded as Decimal or int. Raises InvalidValue, InvalidType."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        _is_wrong(param, "an amount in dollars", "50 or '0.25'")
    text = value if isinstance(value, str) else f"{Decimal(str(value)):f}"
    if not _MONEY.fullmatch(text) or Decimal(text) > _USD_MAX:
        raise InvalidValue(
            f"`{param}`: send dollars from 0 to {_USD_MAX:.0f} with at most 6 decimals, such as"
            " '0.25'.",
            param=param,
        )
    return int(Decimal(text) * 1_000_000)


def usd(amount_microusd: int) -> str:
    """Dollars with six decimals and nothing else, for programs: "0.000123"."""
    sign = "-" if amount_microusd < 0 else ""
    whole, part = divmod(abs(amount_microusd), 1_000_000)
    return f"{sign}{whole}.{part:06d}"


def words(limits: Limits) -> str:
    """The limits in one line, for a table: "60 rpm, $50/month"; "" where nothing is limited."""
    units = ("rpm", "rpd", "tpm", "at once")
    said = [
        f"{value} {unit}"
        for name, unit in zip(COUNTS, units, strict=True)
        if (value := getattr(limits, name)) is not None
    ]
    said += [
        f"${short_usd(each.limit_microusd)}/{each.period}{'' if each.hard else ' (soft)'}"
        for each in limits.budgets
    ]
    return ", ".join(said)


def short_usd(amount_microusd: int) -> str:
    """Dollars without zeros that say nothing: "50", "0.50", "0.125"."""
    whole, _, rest = usd(amount_microusd).partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest:0<2}" if rest else whole


def _budgets(said: Any, before: tuple[Budget, ...], at: str) -> tuple[Budget, ...]:
    if said is None:
        return ()
    found = {each.period: each for each in before}
    for period, value in _object(said, at, PERIODS).items():
        if value is None:
            found.pop(period, None)
        else:
            found[period] = _budget(value, period, found.get(period), f"{at}.{period}")
    return tuple(found[period] for period in PERIODS if period in found)


def _budget(said: Any, period: str, before: Budget | None, at: str) -> Budget:
    values = _object(said, at, _BUDGET_NAMES)
    if before is None:
        if "usd" not in values:
            raise MissingParameter(f"`{at}.usd`: is required. Send dollars.", param=f"{at}.usd")
        before = Budget(period, 0)
    changes: dict[str, Any] = {}
    if "usd" in values:
        changes["limit_microusd"] = microusd(values["usd"], f"{at}.usd")
    if "hard" in values:
        if not isinstance(values["hard"], bool):
            _is_wrong(f"{at}.hard", "true or false", "true")
        changes["hard"] = values["hard"]
    if "alert_at" in values:
        changes["alert_at"] = _shares(values["alert_at"], f"{at}.alert_at")
    return replace(before, **changes)


def _shares(said: Any, at: str) -> tuple[float, ...]:
    numbers = (int, float, Decimal)
    if not isinstance(said, list) or any(
        isinstance(each, bool) or not isinstance(each, numbers) for each in said
    ):
        _is_wrong(at, "an array of numbers", "[0.8, 1.0]")
    if len(said) > SHARES_MAX or not all(0 <= each <= 1 for each in said):
        raise InvalidValue(
            f"`{at}`: send at most {SHARES_MAX} shares of the budget from 0 to 1, such as 0.8.",
            param=at,
        )
    return tuple(float(each) for each in said)


def _count(value: Any, at: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        _is_wrong(at, "a whole number, or null for no limit", "60")
    if not 1 <= value <= COUNT_MAX:
        raise InvalidValue(f"`{at}`: send a whole number from 1 to {COUNT_MAX}.", param=at)
    return value


def _object(value: Any, at: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _is_wrong(at, "an object", "{}")
    for name in value:
        if name not in known:
            raise UnsupportedParameter(
                f"`{at}.{name[:60]}` is not known. Use {', '.join(known)}.",
                param=f"{at}.{name[:60]}",
            )
    return value


def _is_wrong(at: str, wanted: str, example: str) -> NoReturn:
    raise InvalidType(f"`{at}`: must be {wanted}. Send it like this: {example}.", param=at)
