"""How usage and latency went over time. Rule: from the roll-ups alone; nothing here reads single rows.

A step says which sums are read: minutes for less than an hour, hours for less than a day, else days; so
a chart costs as much as its span has steps, however many rows there are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.ledger import queries, rollups
from gatemill.policy import latencies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatemill.ledger.database import Database
    from gatemill.ledger.reader import Reader

POINTS_MAX = 120  # of one chart
LINES_MAX = 50_000  # of one question; the oldest are left out
KEYS_MAX = 10
_FOR_EVER_S = 1 << 42

_SQL = queries.load("trends")
_USAGE = _SQL["trend_usage"]
_LATENCIES = _SQL["trend_latencies"]
_TARGETS = _SQL["target_latencies"]
_KEYS = _SQL["top_keys"]


class Window(Struct, frozen=True):
    """Whole steps of time."""

    since_s: int  # Unix time, a multiple of the step
    until_s: int
    step_s: int

    @classmethod
    def ending(cls, now_s: float, span_s: int, step_s: int) -> Window:
        """The last `span_s` seconds in whole steps, of which the last one is not over."""
        until_s = int(now_s // step_s + 1) * step_s
        return cls(until_s - max(span_s, step_s), until_s, step_s)

    @property
    def starts(self) -> list[int]:
        """Of its steps."""
        return list(range(self.since_s, self.until_s, self.step_s))

    @property
    def sums_s(self) -> int:
        """The span of the sums that it is made of."""
        if self.step_s % rollups.HOUR_S:
            return rollups.MINUTE_S
        return rollups.DAY_S if self.step_s % rollups.DAY_S == 0 else rollups.HOUR_S


class Line(Struct, frozen=True):
    """What one model had from one provider in one step."""

    start_s: int
    model: str
    provider: str  # "" where none was asked, or nobody wants to know
    requests: int  # counted where their first attempt is
    attempts: int
    failed: int  # attempts
    hits: int  # requests that no provider had to answer
    input_tokens: int  # without cached ones
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int  # without reasoning
    reasoning_tokens: int
    cost_microusd: int
    unpriced: int  # attempts whose cost is unknown and not in the sum


class Spread(Struct, frozen=True):
    """Durations of attempts that succeeded; None where there were none."""

    p50_ms: float | None = None
    p95_ms: float | None = None


class Spender(Struct, frozen=True):
    """What a key has used."""

    key_id: str
    requests: int
    cost_microusd: int
    unpriced: int  # attempts whose cost is unknown and not in the sum


class Latency(Struct, frozen=True):
    """The durations of one measure over a window."""

    steps: dict[int, Spread]  # by start; steps without any are not in it
    whole: Spread


class Trends:
    """What can be asked."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def usage(
        self, window: Window, model: str = "", *, by_provider: bool = False
    ) -> list[Line]:
        """By step and model, the newest first; of one model, or of all."""
        return await self._reader.run(lambda db: usage(db, window, model, by_provider=by_provider))

    async def latency(self, window: Window, *models: str) -> dict[str, Latency]:
        """By measure: "latency", and for all models together "first_token".

        Of single models, hours and days are known and minutes are not. Each costs as much as one.
        """
        return await self._reader.run(lambda db: latency(db, window, *models))

    async def targets(self, window: Window) -> dict[tuple[str, str], Counter[int]]:
        """How often attempts took how long, by bucket, of each model and provider; hours or days."""
        return await self._reader.run(lambda db: targets(db, window))

    async def spenders(self, window: Window) -> list[Spender]:
        """The dearest keys, in whole minutes or days."""
        return await self._reader.run(lambda db: spenders(db, window))


def usage(database: Database, window: Window, model: str, *, by_provider: bool) -> list[Line]:
    """See `Trends.usage`."""
    asked = _params(window) | {"model": model, "by_provider": by_provider}
    return msgspec.convert(database.rows(_USAGE, asked), list[Line])


def latency(database: Database, window: Window, *models: str) -> dict[str, Latency]:
    """See `Trends.latency`."""
    found: dict[str, dict[int, Counter[int]]] = {}
    for model in models or ("",):
        for row in database.rows(_LATENCIES, _params(window) | {"model": model}):
            steps = found.setdefault(row["measure"], {})
            steps.setdefault(row["start_s"], Counter())[row["bucket"]] += row["times"]
    nothing = Latency({}, Spread())
    return dict.fromkeys((rollups.LATENCY, rollups.FIRST_TOKEN), nothing) | {
        measure: Latency(
            {start_s: spread([times]) for start_s, times in steps.items()},
            spread(steps.values()),
        )
        for measure, steps in found.items()
    }


def targets(database: Database, window: Window) -> dict[tuple[str, str], Counter[int]]:
    """See `Trends.targets`."""
    found: dict[tuple[str, str], Counter[int]] = {}
    for row in database.rows(_TARGETS, _params(window)):
        times = found.setdefault((row["model"], row["provider"]), Counter())
        times[row["bucket"]] += row["times"]
    return found


def durations(
    database: Database, spans: Iterable[tuple[int, int, int]], model: str, provider: str
) -> dict[str, Counter[int]]:
    """How often attempts that succeeded took how long, by measure and bucket, in the sums of `rollups.spans`.

    Of one model or provider hours and days are known, and of these only the latency.
    """
    found: dict[str, Counter[int]] = {
        rollups.LATENCY: Counter(),
        rollups.FIRST_TOKEN: Counter(),
    }
    for step_s, since_s, until_s in spans:
        asked: dict[str, Any] = {"span_s": step_s}
        asked |= {"since_s": since_s, "until_s": until_s, "limit": LINES_MAX}
        if provider:
            for row in database.rows(_TARGETS, asked):
                if row["provider"] == provider and model in ("", row["model"]):
                    found[rollups.LATENCY][row["bucket"]] += row["times"]
        else:
            asked |= {"model": model, "step_s": _FOR_EVER_S}
            for row in database.rows(_LATENCIES, asked):
                found[row["measure"]][row["bucket"]] += row["times"]
    return found


def spread(times: Iterable[Counter[int]]) -> Spread:
    """Of all of them together."""
    whole: Counter[int] = Counter()
    for each in times:
        whole.update(each)
    return Spread(latencies.quantile(whole, 0.5), latencies.quantile(whole, 0.95))


def spenders(database: Database, window: Window) -> list[Spender]:
    """See `Trends.spenders`."""
    asked = _params(window) | {"limit": KEYS_MAX}
    # Hours do not know the keys: whole days do.
    asked["span_s"] = window.sums_s if window.sums_s != rollups.HOUR_S else rollups.DAY_S
    asked["since_s"] -= asked["since_s"] % asked["span_s"]
    return msgspec.convert(database.rows(_KEYS, asked), list[Spender])


def _params(window: Window) -> dict[str, Any]:
    return {
        "span_s": window.sums_s,
        "since_s": window.since_s,
        "until_s": window.until_s,
        "step_s": window.step_s,
        "limit": LINES_MAX,
    }
