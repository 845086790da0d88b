"""Stage 4: may this request start now, and what is set aside for it?

Rule: every limit of the key, its user, its team and the model is asked in one step; a request that
is refused has consumed nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gatemill.core.errors import (
    BudgetSpent,
    Draining,
    GatemillError,
    InvalidValue,
    LimitsUnavailable,
    Overloaded,
    PriceUnknown,
    RateLimited,
)
from gatemill.core.limits import Hold, Kind, Limits, Refusal, Wanted, merged, rules
from gatemill.gateway import standing
from gatemill.gateway.books import FREE
from gatemill.policy import reserve
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.core.call import Call, Key
    from gatemill.core.limits import Rule
    from gatemill.core.ports import Limiter
    from gatemill.gateway.plan import Plan, Route
    from gatemill.observe.metrics import Meter

N = TypeVar("N")
V = TypeVar("V")

BUNDLES_MAX = 100_000  # keys whose rules are remembered; then they are put together anew
WAITING_MAX = 512  # requests that wait for money which others hold; more are refused at once
AWAY_S = 1.0  # patience with shared counters, of a request that must not be guessed
_PAUSE_S = 0.02  # before money is asked for again; it doubles
_PAUSE_S_MAX = 0.5
_NO_OUTPUT = frozenset(
    ("embeddings", "count_tokens", "predict", "predict_text", "rerank", "moderations")
)


class Gate:
    """The number of requests under way, and its maximum."""

    __slots__ = ("_in_flight_max", "_meter", "draining")

    def __init__(self, in_flight_max: int, meter: Meter) -> None:
        self._in_flight_max = in_flight_max
        self._meter = meter
        self.draining = False  # set by the server on SIGTERM

    def enter(self) -> None:
        """One more request is under way. Raises Overloaded or Draining."""
        if self.draining:
            raise Draining(
                "This server is shutting down. Retry: another one answers.", retry_after_s=1
            )
        if self._meter.in_flight >= self._in_flight_max:
            raise Overloaded("Too many requests are in flight here. Retry later.", retry_after_s=1)
        self._meter.in_flight += 1

    def leave(self) -> None:
        """A request is over."""
        self._meter.in_flight -= 1


class Bundle(Struct, frozen=True):
    """The rules that one key meets, and what they make us compute."""

    key: Key
    rules: tuple[Rule, ...]
    tokens: bool  # some rule counts tokens
    money: bool  # some rule counts money
    hard: bool  # and may refuse


class Reserve(Struct, frozen=True):
    """What is set aside; see docs/settings.md, section reserve."""

    output_tokens: int
    image_tokens: int
    wait_s: float


class Admission:
    """The limits of everybody. One for a configuration; the engine outlives it."""

    def __init__(
        self,
        limiter: Limiter,
        default: Limits,
        amounts: Reserve,
        sleep: Callable[[float], Awaitable[None]],
        rng: Callable[[], float],
    ) -> None:
        """`default` is for keys that have no limits of their own."""
        self.limiter = limiter
        self.refusals: dict[tuple[str, str], int] = {}  # by scope and kind, for metrics
        self.waiting = 0
        self._default = default
        self._amounts = amounts
        self._sleep = sleep
        self._rng = rng
        self._bundles: dict[str, Bundle] = {}  # by key id; bounded by BUNDLES_MAX
        self._with_route: dict[tuple[str, str], Bundle] = {}
        # By scope and its id, the budgets that were met; bounded as the bundles are.
        self._budgets: dict[tuple[str, str], dict[str, Rule]] = {}

    def adopt(self, former: Admission) -> None:
        """What was known of budgets before a reload still is."""
        self._budgets = former._budgets

    def bundle(self, key: Key, route: Route) -> Bundle:
        """The rules for a request of `key` to `route`."""
        found = self._bundles.get(key.id)
        # A key that changed is another object; both tables are then stale for it.
        if found is None or found.key is not key:
            found = self._bundle(key, ())
            _remember(self._bundles, key.id, found)
        if not route.rules:
            return found
        pair = (key.id, route.name)
        both = self._with_route.get(pair)
        if both is None or both.key is not key or both.rules[-1] is not route.rules[-1]:
            both = self._bundle(key, route.rules)
            _remember(self._with_route, pair, both)
        return both

    def _bundle(self, key: Key, more: tuple[Rule, ...]) -> Bundle:
        found = self._rules("key", key.id, merged(key.limits, self._default))
        for scope, scope_id, limits in key.above:
            found += self._rules(scope, scope_id, limits)
        found += more
        money = [rule for rule in found if rule.kind is Kind.BUDGET]
        return Bundle(
            key=key,
            rules=found,
            tokens=any(rule.kind is Kind.TOKENS for rule in found),
            money=bool(money),
            hard=any(rule.hard for rule in money),
        )

    def _rules(self, scope: str, scope_id: str, limits: Limits) -> tuple[Rule, ...]:
        """The rules of a scope, and its budgets that were taken away, which refuse nobody.

        An engine asks the ledger once for each window. A budget that comes back would not know what
        was spent without it.
        """
        found = rules(scope, scope_id, limits)
        present = {rule.name: rule for rule in found if rule.kind is Kind.BUDGET}
        met = self._budgets.get((scope, scope_id), {})
        gone = {
            name: replace(rule, hard=False, alert_at=(), is_gone=True)
            for name, rule in met.items()
            if name not in present
        }
        if present or gone:
            _remember(self._budgets, (scope, scope_id), {**present, **gone})
        return (*found, *gone.values())

    def wanted(self, bundle: Bundle, call: Call, chosen: Plan) -> Wanted:
        """What the request asks of its rules. Raises PriceUnknown."""
        tokens = cost = 0
        if (bundle.tokens or bundle.money) and call.operation not in FREE:
            output = self.output_most(call, chosen)
            prompt = self.prompt_most(call.body)
            tokens = prompt // 4 + output  # a rate, not money: about 4 bytes a token
            if bundle.money:
                cost = _worst(chosen, prompt, output, hard=bundle.hard)
        return Wanted(call.id, bundle.rules, tokens, cost, call.arrived_at)

    def output_most(self, call: Call, chosen: Plan) -> int:
        """No answer to this call has more tokens, all its choices together."""
        if call.operation in _NO_OUTPUT:
            return 0
        most = call.head.output_max or chosen.route.output_max or self._amounts.output_tokens
        return most * call.head.choices

    def output_cap(self, bundle: Bundle, call: Call, chosen: Plan) -> int | None:
        """The answer tokens to ask for, where a hard budget needs a bound and the caller gave none."""
        if not bundle.hard or call.head.output_max is not None or call.operation in _NO_OUTPUT:
            return None
        return chosen.route.output_max or self._amounts.output_tokens

    def prompt_most(self, body: bytes) -> int:
        """No prompt of this body has more tokens."""
        if not reserve.has_attachments(body):
            return len(body)
        count, picture_chars = reserve.attachments(fields.read_object(body))
        return len(body) - picture_chars + count * self._amounts.image_tokens

    async def wait(self, wanted: Wanted, refusal: Refusal, deadline_s: float) -> Hold | Refusal:
        """The hold, once requests under way give back what they do not need; or the last refusal.

        Waits at most `reserve.wait_s`, `AWAY_S` for counters that are away, and not beyond
        `deadline_s` seconds from now.
        """
        if self.waiting >= WAITING_MAX:
            return refusal
        self.waiting += 1
        left_s = min(AWAY_S if refusal.unavailable else self._amounts.wait_s, deadline_s)
        pause_s = _PAUSE_S
        answer: Hold | Refusal = refusal
        try:
            while left_s > 0 and isinstance(answer, Refusal) and may_pass(answer):
                nap_s = min(left_s, pause_s * (0.5 + self._rng()))
                await self._sleep(nap_s)
                left_s -= nap_s
                pause_s = min(pause_s * 2, _PAUSE_S_MAX)
                answer = await self.limiter.admit(wanted)
        finally:
            self.waiting -= 1
        return answer

    def refuse(self, refusal: Refusal) -> GatemillError:
        """The error for a refusal, which is counted."""
        rule = refusal.rule
        label = (rule.scope, rule.kind.name.lower())
        self.refusals[label] = self.refusals.get(label, 0) + 1
        return error_of(refusal)


async def admit(admission: Admission, call: Call, chosen: Plan, now_s: float) -> None:
    """The request holds what it may need: `call.hold`; nothing where nobody is limited.

    Raises RateLimited, BudgetSpent, LimitsUnavailable, PriceUnknown, InvalidValue.
    """
    assert call.key is not None
    bundle = admission.bundle(call.key, chosen.route)
    if not bundle.rules:
        return
    wanted = admission.wanted(bundle, call, chosen)
    answer = await admission.limiter.admit(wanted)
    if answer.__class__ is Refusal and may_pass(answer):
        answer = await admission.wait(wanted, answer, call.deadline_s - now_s)
    if isinstance(answer, Refusal):
        raise admission.refuse(answer)
    call.hold = answer
    call.reserve_microusd = wanted.cost_microusd
    call.output_cap = admission.output_cap(bundle, call, chosen)


async def grow(admission: Admission, call: Call, chosen: Plan, longer_bytes: int) -> None:
    """The hold bounds the request also now that its body is so much longer. Raises what `admit` does."""
    assert call.key is not None
    hold, bundle = call.hold, admission.bundle(call.key, chosen.route)
    if hold is None or not (bundle.tokens or bundle.money):
        return
    wanted = admission.wanted(bundle, call, chosen)
    more = max(0, wanted.cost_microusd - call.reserve_microusd)
    refusal = await admission.limiter.extend(hold, longer_bytes // 4 + 1, more)
    if refusal is not None:
        raise admission.refuse(refusal)
    call.reserve_microusd += more


def _remember(table: dict[N, V], name: N, value: V) -> None:
    if len(table) >= BUNDLES_MAX:
        table.clear()
    table[name] = value


def may_pass(refusal: Refusal) -> bool:
    """A short wait may help: money comes back, or the shared counters do."""
    return refusal.unavailable or (refusal.by_holds and refusal.rule.kind is Kind.BUDGET)


def _worst(chosen: Plan, prompt: int, output: int, *, hard: bool) -> int:
    """Micro-dollars of the dearest target. Raises PriceUnknown."""
    worst = 0
    for target in chosen.targets:
        if target.price is not None:
            worst = max(worst, reserve.worst_microusd(target.price, prompt, output))
        elif hard:
            raise PriceUnknown(
                f"A hard budget applies and the price of {target.label} is not known."
                f' Add [prices."{target.label}"], or set reserve.unknown_price.',
                param="model",
            )
    return worst


def error_of(refusal: Refusal) -> GatemillError:
    """What a refusal means to the caller."""
    rule = refusal.rule
    owner = f"this {rule.scope}" if rule.scope != "model" else "this model"
    if refusal.unavailable:
        return LimitsUnavailable(
            f"The shared counters are away and {owner} has a hard budget. Retry later.",
            retry_after_s=refusal.retry_after_s,
        )
    if rule.kind is Kind.BUDGET and not refusal.by_holds:
        return BudgetSpent(standing.spent_words(rule))
    if rule.kind is Kind.BUDGET:
        error: GatemillError = RateLimited(
            f"What is left of the budget of {owner} is held by requests under way. Retry later.",
            retry_after_s=refusal.retry_after_s,
        )
    elif math.isinf(refusal.retry_after_s):
        return InvalidValue(
            f"The request may need more tokens than {owner} may use in a minute: {rule.most}."
            " Send less, or set a smaller max_tokens.",
            param="max_tokens",
        )
    else:
        error = RateLimited(
            f"{standing.limit_words(rule)} Retry after {refusal.retry_after_s:.2f} s.",
            retry_after_s=refusal.retry_after_s,
        )
    error.headers = standing.refused_headers(refusal)
    return error
