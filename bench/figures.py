"""Figures of a run and their ratios. Rule: pure; a ratio is taken within a round, then the median.

The speed of a shared machine drifts by more than the differences we look for, but two subjects that
were measured seconds apart drift together.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

from bench.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT = "nginx"
OURS = "gatemill"
PEER = "litellm"
DIRECT = "direct"


class Row(Struct, frozen=True):
    """One measure, one line of the table."""

    id: str
    title: str
    digits: int  # after the point
    compares: bool = True  # ratios mean something


ROWS = (
    Row("chat_per_cpu_s", "chat, requests per CPU second (more is better)", 0),
    Row("chat_cpu_us", "chat, CPU µs per request", 1, compares=False),
    Row("chat_per_s", "chat, requests/s on one core (more is better)", 0),
    Row("burst_per_cpu_s", "burst streams, events per CPU second (more is better)", 0),
    Row("burst_cpu_us", "burst streams, CPU µs per event", 2, compares=False),
    Row("burst_per_s", "burst streams, events/s on one core (more is better)", 0),
    Row("paced_per_cpu_s", "paced streams, events per CPU second (more is better)", 0),
    Row("paced_cpu_us", "paced streams, CPU µs per event", 1, compares=False),
    Row("added_p50_us", "latency on top of the upstream's, p50 µs (less is better)", 0),
    Row("added_p99_us", "latency on top of the upstream's, p99 µs (less is better)", 0),
    Row("idle_mb", "memory after the first answer, MB (less is better)", 1),
    Row("loaded_mb", "memory after the load, MB (less is better)", 1),
    Row("start_s", "start to first answer, s (less is better)", 2),
    Row("failed", "failed or cut-short requests", 0, compares=False),
)


class Spread(Struct, frozen=True):
    """The middle and the ends of what the rounds gave."""

    median: float
    low: float
    high: float


class Result(Struct):
    """One run, as it is written to disk. Everything the table says comes from here."""

    date: str  # UTC
    command: str
    machine: Machine
    subjects: list[str]  # in the order of the columns
    versions: dict[str, str]
    setups: dict[str, str]
    notes: list[str]
    figures: dict[str, dict[str, list[float]]]  # row -> subject -> one value a round
    ratios: dict[str, dict[str, Spread]]  # row -> "gatemill/nginx" -> spread over the rounds


class Tally:
    """Values by row and subject, gathered round by round."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, list[float]]] = {}

    def add(self, row: str, subject: str, value: float) -> None:
        """One more round."""
        self.figures.setdefault(row, {}).setdefault(subject, []).append(value)

    def values(self, row: str, subject: str) -> list[float]:
        """The rounds so far, [] without any."""
        return self.figures.get(row, {}).get(subject, [])

    def rate(self, kind: str, subject: str, cpu_us: float, per_s: float) -> None:
        """CPU per unit, units per CPU second and per second of one round of `kind`."""
        self.add(f"{kind}_cpu_us", subject, cpu_us)
        self.add(f"{kind}_per_cpu_s", subject, 1e6 / cpu_us)
        self.add(f"{kind}_per_s", subject, per_s)


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(upper: Iterable[float], lower: Iterable[float]) -> Spread | None:
    """Of the rounds that both have; rounds where one is not above 0 are noise and left out."""
    # The shorter list ends it: slow subjects take part in the first rounds only.
    quotients = [a / b for a, b in zip(upper, lower, strict=False) if a > 0 and b > 0]
    return spread(quotients) if quotients else None


def pairs(subjects: Sequence[str]) -> list[tuple[str, str]]:
    """Who is compared with whom: ours with each of the others; without ours, the nearest to it."""
    shown = [name for name in subjects if name != DIRECT]
    if not shown:
        return []
    strangers = {LIMIT: 1, PEER: 0}  # the limit leads only when it is alone
    lead = OURS if OURS in shown else min(shown, key=lambda name: strangers.get(name, -1))
    return [(lead, other) for other in shown if other != lead]


def ratios(
    figures: dict[str, dict[str, list[float]]], subjects: Sequence[str]
) -> dict[str, dict[str, Spread]]:
    """For each row that compares, the ratio of each pair that has values."""
    found: dict[str, dict[str, Spread]] = {}
    for row in ROWS:
        values = figures.get(row.id, {})
        for upper, lower in pairs(subjects) if row.compares else []:
            one = ratio(values.get(upper, []), values.get(lower, []))
            if one is not None:
                found.setdefault(row.id, {})[f"{upper}/{lower}"] = one
    return found


def percentile(ascending: Sequence[int], share: float) -> float:
    """The value that `share` of at least one value do not exceed."""
    return float(ascending[min(len(ascending) - 1, int(share * len(ascending)))])
