"""`gm.limited`: a function as often as it may be called.

Rule: the engine is that of the gateway, so several processes that share it share the limits too.
In its books a function is the model `function/<name>`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypedDict

from msgspec import Struct

from gatemill.core.errors import GatemillError, InvalidType, InvalidValue
from gatemill.core.limits import Budget, Hold, Limits, Refusal, Wanted, rules
from gatemill.library.arguments import counts, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gatemill.core.limits import Rule
    from gatemill.house import House
    from gatemill.library.arguments import Decorator, P, R

# A scope that the ledger knows, because a budget begins with what the ledger says.
SCOPE = "model"
PREFIX = "function/"
WAITING_MAX = 512  # calls of one function that wait; more are refused at once
_PAUSE_S = 0.02  # before what others hold is asked for again; it doubles
_PAUSE_S_MAX = 0.5
_PERIODS = ("day", "week", "month", "total")
_PLAIN = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "concurrency")


class Allowed(TypedDict, total=False):
    """The limits of a function; what is left out is unlimited. See docs/guides/library.md."""

    requests_per_minute: int | None
    requests_per_day: int | None
    tokens_per_minute: int | None
    concurrency: int | None
    usd_per_day: float | None
    usd_per_week: float | None
    usd_per_month: float | None
    usd_total: float | None


class Cost(Struct, frozen=True):
    """What one call takes of its limits: an amount, or a function of the call's arguments."""

    tokens: int | Callable[..., int] = 0
    usd: float | Callable[..., float] = 0

    def tokens_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Tokens of this call. Raises InvalidValue."""
        said = self.tokens(*args, **kwargs) if callable(self.tokens) else self.tokens
        if type(said) is not int or said < 0:
            raise InvalidValue("tokens must be a whole number of 0 or more.", param="tokens")
        return said

    def microusd_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Micro-dollars of this call. Raises InvalidType and InvalidValue."""
        return _microusd("usd", self.usd(*args, **kwargs) if callable(self.usd) else self.usd)


def limits_of(said: Allowed) -> Limits:
    """The limits in the words of the house. Raises InvalidType, InvalidValue, TypeError."""
    given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    unknown = given.keys() - Allowed.__annotations__.keys()
    if unknown:
        raise TypeError(f"no such limit: {', '.join(sorted(unknown))}")
    plain = {name: given[name] for name in _PLAIN if name in given}
    counts(**plain)
    budgets = []
    for period in _PERIODS:
        name = "usd_total" if period == "total" else f"usd_per_{period}"
        if name in given:
            budgets.append(Budget(period, _microusd(name, given[name])))
    if not plain and not budgets:
        raise InvalidValue("Say at least one limit, for example requests_per_minute=60.")
    return Limits(**plain, budgets=tuple(budgets))


def decorator(
    home: House, name: str | None, limits: Limits, cost: Cost, wait_s: float
) -> Decorator:
    """Calls beyond the limits fail, after at most `wait_s`, with RateLimited or BudgetSpent."""

    def limited(
        function: Callable[P, Coroutine[Any, Any, R]],
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        door = _Door(home, rules(SCOPE, PREFIX + name_of(function, name), limits), wait_s)

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            hold = await door.enter(cost.tokens_of(args, kwargs), cost.microusd_of(args, kwargs))
            try:
                return await function(*args, **kwargs)
            finally:
                # Also after a failure: what a call took before it failed, nobody knows.
                home.lasting.limiter.settle(hold, hold.tokens, hold.cost_microusd)

        return call

    return limited


class _Door:
    """Where the calls of one function are let in."""

    def __init__(self, home: House, found: tuple[Rule, ...], wait_s: float) -> None:
        self._home = home
        self._rules = found
        self._wait_s = wait_s
        self._waiting = 0

    async def enter(self, tokens: int, cost_microusd: int) -> Hold:
        """The call's hold. Raises RateLimited, BudgetSpent, InvalidValue and what the engine raises."""
        gateway = self._home.gateway
        unix_s = gateway.clock.unix_s()
        wanted = Wanted(gateway.new_id(unix_s), self._rules, tokens, cost_microusd, unix_s)
        answer = await self._home.lasting.limiter.admit(wanted)
        if isinstance(answer, Refusal) and self._wait_s and self._waiting < WAITING_MAX:
            self._waiting += 1
            try:
                answer = await self._wait(wanted, answer)
            finally:
                self._waiting -= 1
        if isinstance(answer, Refusal):
            raise self._error(answer)
        return answer

    async def _wait(self, wanted: Wanted, refusal: Refusal) -> Hold | Refusal:
        gateway = self._home.gateway
        ends_s = gateway.now() + self._wait_s
        held_s = _PAUSE_S
        answer: Hold | Refusal = refusal
        while isinstance(answer, Refusal):
            left_s = ends_s - gateway.now()
            pause_s = answer.retry_after_s
            if answer.by_holds:  # when a call under way ends, nobody knows
                pause_s = min(left_s, held_s * (0.5 + gateway.tries.rng()))
                held_s = min(held_s * 2, _PAUSE_S_MAX)
            if left_s <= 0 or pause_s > left_s:
                break
            await gateway.tries.sleep(pause_s)
            wanted.unix_s = gateway.clock.unix_s()
            answer = await self._home.lasting.limiter.admit(wanted)
        return answer

    def _error(self, refusal: Refusal) -> GatemillError:
        return self._home.gateway.admission.refuse(refusal)


def _microusd(name: str, usd: Any) -> int:
    if isinstance(usd, bool) or not isinstance(usd, (int, float)):
        raise InvalidType(f"{name} must be a number of dollars.", param=name)
    amount = usd * 1_000_000
    if not 0 <= amount < float("inf"):
        raise InvalidValue(f"{name} must be 0 dollars or more.", param=name)
    return round(amount)
