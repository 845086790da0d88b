"""A span of time at a glance. Rule: what it costs does not grow with the rows.

Counts, tokens and money are those of the sums, as in the charts. How long it took is ranked row by row where
there are few rows, else told by the counted latencies, which are those of the charts, too. Everything here
only reads, in the reading thread.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.ledger import queries, requests, rollups, trends, usage
from gatemill.ledger.requests import Sieve
from gatemill.policy import latencies

if TYPE_CHECKING:
    from gatemill.ledger.database import Database
    from gatemill.ledger.usage import Filters

TOP = 10  # errors, models and operations
GROUPS_MAX = (
    10_000  # models with their operations; where there are more, some are in the sums alone
)
FAILED_MAX = 10_000  # attempts that are looked at for the most common errors, the newest ones
PARTS = (50, 95, 99)  # percent
_LABELS = ("key", "user", "team", "model")  # by which sums are found, the rarest first

_TOGETHER = {"by_model": False}

_SQL = queries.load("reports")
_TOP_ERRORS = _SQL["top_errors"]
_COUNTS = (
    "requests",
    "attempts",
    "failed",
    "unpriced",
    "estimated",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "cost_microusd",
    "latency_us",
    "first_tokens",
    "first_token_us",
)


class Share(Struct, frozen=True):
    """How often something occurred."""

    name: str
    times: int


class Spread(Struct, frozen=True):
    """How long something took; None when it never happened."""

    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class Summary(Struct, frozen=True):
    """A span of time at a glance."""

    requests: int
    attempts: int
    success_rate: float | None  # of the requests, 0 to 1; None without any
    latency: Spread  # of the attempts that succeeded
    first_token: Spread
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    input_audio_tokens: int
    output_tokens: int
    reasoning_tokens: int
    output_audio_tokens: int
    cost_microusd: int
    unpriced: int  # attempts whose cost is unknown and not in the sum
    estimated: int
    cache_hits: int  # requests that no provider had to answer
    errors: list[Share]  # of attempts, by public code, the most common first
    models: list[Share]  # requests
    operations: list[Share]


def of(database: Database, since_s: float, until_s: float, filters: Filters) -> Summary:
    """Requests that arrived in [since, until), to whole minutes outwards; to whole days where rows are gone.

    Percentiles are those of the nearest rank while at most `requests.RANKED_MAX` attempts are in question. Of more,
    they are told by all of them and wrong by at most 12 %; but where a key, user or team is asked for, or a
    model or provider for less than a day, they are those of the newest. Of a model or provider, what was
    counted begins and ends with whole hours, and knows no first tokens. The most common errors are those of
    the newest `FAILED_MAX` attempts of everybody that failed.
    """
    with database.snapshot():
        since_s, until_s = usage.outward(database, since_s, until_s)
        spans = rollups.spans(since_s, until_s, _steps(filters)) or [(rollups.MINUTE_S, 0, 0)]
        span = min(start_s for _, start_s, _ in spans), max(end_s for _, _, end_s in spans)
        lines, by_model = _summed(database, spans, filters)
        whole: Counter[str] = Counter()
        for line in lines:
            whole.update({name: line[name] for name in _COUNTS})
        spreads = _spreads(database, span, filters, whole)
        errors = _errors(database, span, filters) if whole["failed"] else []
    requests_ = whole["requests"]
    return Summary(
        **{name: whole[name] for name in Summary.__struct_fields__ if name in _COUNTS},
        success_rate=min(1.0, _succeeded(whole) / requests_) if requests_ else None,
        latency=spreads[rollups.LATENCY],
        first_token=spreads[rollups.FIRST_TOKEN],
        cache_hits=sum(line["requests"] for line in lines if line["cache"]),
        errors=errors,
        models=_asked_for(by_model, "model"),
        operations=_asked_for(lines, "operation"),
    )


def _steps(filters: Filters) -> tuple[int, ...]:
    # Hours do not know who asked.
    if filters.key or filters.user or filters.team:
        return (rollups.DAY_S, rollups.MINUTE_S)
    return (rollups.DAY_S, rollups.HOUR_S, rollups.MINUTE_S)


def _summed(
    database: Database, spans: list[tuple[int, int, int]], filters: Filters
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All sums; and those by model, of which some are missing where there are very many."""
    label = next((each for each in _LABELS if getattr(filters, each)), "")
    query = _SQL[f"summed_of_{label}" if label else "summed"]
    whole: list[dict[str, Any]] = []
    by_model: list[dict[str, Any]] = []
    for step_s, start_s, end_s in spans:
        asked: dict[str, Any] = {"span_s": step_s, "since_s": start_s, "until_s": end_s}
        asked |= {"by_model": True, "limit": GROUPS_MAX} | msgspec.structs.asdict(filters)
        found = database.rows(query, asked)
        by_model += found
        whole += found if len(found) < GROUPS_MAX else database.rows(query, asked | _TOGETHER)
    return whole, by_model


def _asked_for(lines: list[dict[str, Any]], label: str) -> list[Share]:
    times: Counter[str] = Counter()
    for line in lines:
        times[line[label]] += line["requests"]
    ordered = sorted(times.items(), key=lambda one: (-one[1], one[0]))
    # An hour that code from before schema 16 has added to names no operation.
    return [Share(name, count) for name, count in ordered if count > 0 and name][:TOP]


def _spreads(
    database: Database, span: tuple[int, int], filters: Filters, whole: Counter[str]
) -> dict[str, Spread]:
    sums = {
        rollups.LATENCY: (_succeeded(whole), whole["latency_us"]),
        rollups.FIRST_TOKEN: (whole["first_tokens"], whole["first_token_us"]),
    }
    times = _counted(database, span, filters)
    ranked: dict[str, list[float]] = {}
    most = requests.RANKED_MAX
    if any(count and not count > most < times[one].total() for one, (count, _) in sums.items()):
        ranked = requests.durations(database, Sieve(**msgspec.structs.asdict(filters)), *span)
    return {
        measure: _spread(count, sum_us, sorted(ranked.get(measure, ())), times[measure])
        for measure, (count, sum_us) in sums.items()
    }


def _spread(count: int, sum_us: int, ordered: list[float], times: Counter[int]) -> Spread:
    if not count:
        return Spread()
    mean_ms = sum_us / count / 1e3
    if len(ordered) < min(count, times.total()):
        return Spread(mean_ms, *(latencies.quantile(times, part / 100) for part in PARTS))
    if not ordered:
        return Spread(mean_ms)
    # The nearest rank: the smallest value that so large a part does not exceed.
    places = [math.ceil(len(ordered) * part / 100) for part in PARTS]
    return Spread(mean_ms, *(ordered[place - 1] for place in places))


def _counted(
    database: Database, span: tuple[int, int], filters: Filters
) -> dict[str, Counter[int]]:
    since_s, until_s = span
    steps = _steps(filters)
    if filters.model or filters.provider:
        steps = steps[:-1]  # minutes do not know them
    is_short = until_s - since_s < rollups.DAY_S
    if rollups.HOUR_S not in steps or (rollups.MINUTE_S not in steps and is_short):
        return trends.durations(database, [], "", "")
    spans = rollups.spans(since_s, until_s, steps)
    return trends.durations(database, spans, filters.model, filters.provider)


def _errors(database: Database, span: tuple[int, int], filters: Filters) -> list[Share]:
    asked = {"since_s": span[0], "until_s": span[1], "most": FAILED_MAX, "limit": TOP}
    found = database.rows(_TOP_ERRORS, asked | msgspec.structs.asdict(filters))
    return msgspec.convert(found, list[Share])


def _succeeded(whole: Counter[str]) -> int:
    return whole["attempts"] - whole["failed"]
