"""Charts without a time axis: bars, intervals, a line in a row of a table. Rule: as in charts.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from gatemill.ui import scales
from gatemill.ui.drawing import (
    BOTTOM,
    SAID,
    TOP,
    WIDTH,
    empty,
    path,
    rect,
    rounded,
    svg,
    upright,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ROW = 26  # height of a row of intervals


def bars(label: str, rows: Sequence[Mapping[str, Any]], kind: str = "short") -> Markup:
    """A horizontal bar for each {"name", "value"}, and "link" where there is a page about it."""
    high = scales.top(scales.clean(row["value"]) for row in rows)
    if high <= 0:
        return empty(label)
    said = SAID[kind]
    drawn: list[Markup] = []
    for row in rows:
        value = max(0.0, scales.clean(row["value"]) or 0.0)
        name = Markup('<span class="bar-name">{}</span>').format(row["name"])
        if row.get("link"):
            name = Markup('<a class="bar-name" href="{}">{}</a>').format(row["link"], row["name"])
        track = Markup(
            '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="track" width="100" height="8"/><rect class="f1" width="{}" height="8"/>'
            "</svg>"
        ).format(rounded(value / high * 100))
        told = Markup('<span class="num">{}</span>').format(said(row["value"]))
        drawn.append(Markup("<li>{}{}{}</li>").format(name, told, track))
    return Markup('<ol class="bars" aria-label="{}">{}</ol>').format(label, Markup().join(drawn))


def intervals(
    label: str, rows: Sequence[Mapping[str, Any]], kind: str = "number", zero: float | None = None
) -> Markup:
    """Each {"name", "low", "value", "high"} as a point with its interval on a common axis.

    A bound that is None is not known: the line ends at the axis. `zero`: a line that means "no difference".
    """
    known = [
        each
        for row in rows
        for name in ("low", "value", "high")
        if (each := scales.clean(row[name])) is not None
    ]
    if not known:
        return empty(label)
    said = SAID[kind]
    ends = known if zero is None else [*known, zero]
    marks = scales.ticks(min(ends), max(ends))
    left, right, height = 140, WIDTH - 20, TOP + _ROW * len(rows) + BOTTOM

    def x(value: float) -> float:
        return left + (value - marks[0]) / (marks[-1] - marks[0]) * (right - left)

    drawn = [upright("grid", x(mark), height, said(mark)) for mark in marks]
    if zero is not None:
        drawn.append(upright("zero", x(zero), height, ""))
    for number, row in enumerate(rows):
        low, value, high = (scales.clean(row[name]) for name in ("low", "value", "high"))
        y = TOP + _ROW * (number + 0.5)
        told = _interval_words(row["name"], (low, value, high), said)
        parts = [Markup('<text x="0" y="{}">{}</text>').format(rounded(y + 4), row["name"][:24])]
        if value is not None:
            ends_at = (left if low is None else x(low), right if high is None else x(high))
            parts.append(
                Markup('<path class="line s1" d="M{} {}H{}"/>').format(
                    rounded(ends_at[0]), rounded(y), rounded(ends_at[1])
                )
            )
            parts.append(
                Markup('<circle class="f1" cx="{}" cy="{}" r="4.5"/>').format(
                    rounded(x(value)), rounded(y)
                )
            )
        hit = rect("band", 0, y - _ROW / 2, WIDTH, _ROW)
        body = Markup("{}{}").format(hit, Markup().join(parts))
        drawn.append(Markup('<g class="hit"><title>{}</title>{}</g>').format(told, body))
    words_ = "; ".join(
        _interval_words(r["name"], (r["low"], r["value"], r["high"]), said) for r in rows
    )
    return Markup("<figure>{}</figure>").format(
        svg(f"{label}: {words_}", Markup().join(drawn), height)
    )


def sparkline(label: str, values: Sequence[float | None]) -> Markup:
    """A line without axes, for a row of a table."""
    clean = [scales.clean(value) for value in values]
    high = scales.top(clean) or 1.0
    across = max(1, len(clean) - 1)
    points = [
        None if value is None else (place / across * 100, 22 - max(0.0, value) / high * 20)
        for place, value in enumerate(clean)
    ]
    return Markup(
        '<svg class="chart spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img"'
        ' aria-label="{0}"><title>{0}</title><path class="line s1" d="{1}"/></svg>'
    ).format(label, path(points))


def _interval_words(
    name: str, bounds: tuple[float | None, float | None, float | None], said: Callable[[Any], str]
) -> str:
    low, value, high = bounds
    return f"{name}: {said(value)}, {said(low)} to {said(high)}"
