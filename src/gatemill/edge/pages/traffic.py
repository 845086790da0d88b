"""Lines of usage -> the series and sums that pages show. Rule: pure; every chart has a value for each step."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatemill.ledger.trends import Latency, Line, Window

Series = dict[str, Any]  # name, values
SERIES_MAX = 5  # models of a chart; the others are one series
TOP = 10


class Sum(Struct):
    """Usage added up."""

    requests: int = 0
    attempts: int = 0
    attempts_failed: int = 0
    hits: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_microusd: int = 0
    unpriced: int = 0  # attempts whose cost is unknown and not in the sum

    def add(self, line: Line) -> None:
        """One line more."""
        self.requests += line.requests
        self.attempts += line.attempts
        self.attempts_failed += line.failed
        self.hits += line.hits
        self.input_tokens += line.input_tokens
        self.cache_read_tokens += line.cache_read_tokens
        self.cache_write_tokens += line.cache_write_tokens
        self.output_tokens += line.output_tokens
        self.reasoning_tokens += line.reasoning_tokens
        self.cost_microusd += line.cost_microusd
        self.unpriced += line.unpriced

    def merge(self, other: Sum) -> None:
        """All of another one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def failed(self) -> int:
        """Requests of which no attempt succeeded."""
        return max(0, self.requests - (self.attempts - self.attempts_failed))

    @property
    def failed_share(self) -> float | None:
        """Of the requests; None without any."""
        return self.failed / self.requests if self.requests else None

    @property
    def attempts_failed_share(self) -> float | None:
        """Of the attempts; None without any."""
        return self.attempts_failed / self.attempts if self.attempts else None

    @property
    def hit_share(self) -> float | None:
        """Of the requests; None without any."""
        return self.hits / self.requests if self.requests else None

    @property
    def generated_tokens(self) -> int:
        """Those of answers, with their reasoning."""
        return self.output_tokens + self.reasoning_tokens


def total(lines: Iterable[Line]) -> Sum:
    """All of them."""
    found = Sum()
    for line in lines:
        found.add(line)
    return found


def by(lines: Iterable[Line], *names: str) -> dict[Any, Sum]:
    """By the values of these fields; by the value itself where it is one field."""
    found: defaultdict[Any, Sum] = defaultdict(Sum)
    for line in lines:
        key = tuple(getattr(line, name) for name in names)
        found[key[0] if len(key) == 1 else key].add(line)
    return dict(found)


def counts(lines: Sequence[Line], window: Window) -> list[Series]:
    """Requests and failures over time."""
    steps = by(lines, "start_s")
    return [
        _series("requests", window, {at: each.requests for at, each in steps.items()}, 0),
        _series("failed", window, {at: each.failed for at, each in steps.items()}, 0),
    ]


def tokens(lines: Sequence[Line], window: Window) -> list[Series]:
    """Tokens over time, by kind; kinds that never occurred are left out."""
    steps = by(lines, "start_s")
    found = []
    for name, field in (
        ("input", "input_tokens"),
        ("cached input", "cache_read_tokens"),
        ("written to a cache", "cache_write_tokens"),
        ("output", "output_tokens"),
        ("reasoning", "reasoning_tokens"),
    ):
        values = {at: getattr(each, field) for at, each in steps.items()}
        if any(values.values()):
            found.append(_series(name, window, values, 0))
    return found


def by_model(lines: Sequence[Line], window: Window, field: str) -> list[Series]:
    """A count over time, of the models with most of it and of all others together."""
    whole = {name: getattr(each, field) for name, each in by(lines, "model").items()}
    ordered = sorted((name for name in whole if whole[name] > 0), key=lambda name: -whole[name])
    shown, rest = ordered[:SERIES_MAX], frozenset(ordered[SERIES_MAX:])
    values: defaultdict[str, dict[int, int]] = defaultdict(dict)
    others: defaultdict[int, int] = defaultdict(int)
    for (at, model), each in by(lines, "start_s", "model").items():
        if model in rest:
            others[at] += getattr(each, field)
        else:
            values[model][at] = getattr(each, field)
    found = [_series(name, window, values[name], 0) for name in shown]
    return [*found, _series("others", window, others, 0)] if rest else found


def durations(latency: Latency, window: Window) -> list[Series]:
    """p50 and p95 over time, in milliseconds; steps without any are gaps."""
    return [
        _series("p50", window, {at: one.p50_ms for at, one in latency.steps.items()}, None),
        _series("p95", window, {at: one.p95_ms for at, one in latency.steps.items()}, None),
    ]


def top_models(lines: Sequence[Line], most: int = TOP) -> list[dict[str, Any]]:
    """The models that were asked for most."""
    found = sorted(by(lines, "model").items(), key=lambda one: (-one[1].requests, one[0]))
    return [
        {
            "name": name,
            "requests": each.requests,
            "failed_share": each.failed_share,
            "cost_microusd": each.cost_microusd,
            "unpriced": each.unpriced,
        }
        for name, each in found[:most]
    ]


def _series(name: str, window: Window, values: dict[int, Any], nothing: Any) -> Series:
    return {"name": name, "values": [values.get(at, nothing) for at in window.starts]}
