"""The spans of time that pages with charts offer. Rule: each has so few steps that a chart can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gatemill.ledger.trends import Window

if TYPE_CHECKING:
    from gatemill.edge.pages.frame import Visit

ASKS = ("range",)


class Range(NamedTuple):
    """One of them."""

    name: str
    span_s: int
    step_s: int


ALL = (
    Range("15 min", 900, 60),
    Range("1 h", 3_600, 60),
    Range("24 h", 86_400, 3_600),
    Range("7 d", 604_800, 7_200),
    Range("30 d", 2_592_000, 86_400),
)
# What is kept of a single model begins with hours.
LONG = ALL[2:]


def asked(visit: Visit, ranges: tuple[Range, ...] = ALL) -> tuple[Range, Window]:
    """The span that the visit asks for, 24 hours by default. Raises InvalidValue."""
    names = {one.name.replace(" ", ""): one for one in ranges}
    found = names[visit.asked.word("range", "24h", *names)]
    return found, Window.ending(visit.now_s, found.span_s, found.step_s)


def told(chosen: Range, window: Window, ranges: tuple[Range, ...] = ALL) -> dict[str, Any]:
    """What the page's range picker shows."""
    return {
        "range": chosen.name,
        "ranges": [
            {"name": one.name, "value": one.name.replace(" ", ""), "current": one == chosen}
            for one in ranges
        ],
        "since": window.since_s,
        "until": window.until_s,
        "step_s": window.step_s,
        "times": window.starts,
    }
