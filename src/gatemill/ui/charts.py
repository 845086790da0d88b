"""Charts as SVG. Rule: pure; complete without a script, and never the only way to the numbers.

Each chart says in words what it shows (aria-label), tells the numbers of a point on hover (title), and has
the same as a table below it. `kind` says how numbers are written: number, short, usd, percent, duration.
A series is {"name": ..., "values": [number or None for each moment]}; None is a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup, escape

from gatemill.ui import scales
from gatemill.ui.bars import bars, intervals, sparkline
from gatemill.ui.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MARKED,
    RIGHT,
    SAID,
    TOP,
    WIDTH,
    colour,
    empty,
    path,
    rect,
    rounded,
    svg,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["bars", "intervals", "lines", "sparkline", "stacked"]

_TABLE_MAX = 400  # rows of a chart's table
_WHOLE = frozenset(("number", "short"))  # kinds whose axes have only whole numbers
_EMPTY_TOP = {"usd": 1e6}  # of an axis where all is 0: a millionth of a dollar would say nothing


class _Area(NamedTuple):
    """The part of the drawing between the axes, and the scale of its height."""

    since_s: float
    until_s: float
    high: float

    def x(self, at_s: float) -> float:
        width = WIDTH - LEFT - RIGHT
        return LEFT + (at_s - self.since_s) / (self.until_s - self.since_s) * width

    def y(self, value: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return HEIGHT - BOTTOM - min(max(value / self.high, 0.0), 1.0) * height


def lines(
    label: str,
    times: Sequence[float],
    series: Sequence[Mapping[str, Any]],
    kind: str = "short",
    *,
    filled: bool = False,
) -> Markup:
    """Each series as a line over time; `filled`: the first one as an area, too."""
    clean = _clean(series)
    if not _has_any(times, clean):
        return empty(label)
    step_s = _step(times)
    high = scales.top(value for _, values in clean for value in values) or _EMPTY_TOP.get(kind, 0.0)
    marks = scales.ticks(0.0, high, whole=_is_whole(kind, clean))
    area = _Area(times[0], times[-1] + step_s, marks[-1])
    drawn = [_axes(area, marks, MARKED[kind])]
    for number, (_, values) in enumerate(clean):
        points = [
            None if value is None else (area.x(at + step_s / 2), area.y(value))
            for at, value in zip(times, values, strict=False)
        ]
        if filled and number == 0:
            drawn.append(_filled(points))
        drawn.append(Markup('<path class="line s{}" d="{}"/>').format(colour(number), path(points)))
    drawn.append(_hits(area, times, clean, SAID[kind]))
    return _figure(label, times, clean, kind, Markup().join(drawn))


def stacked(
    label: str, times: Sequence[float], series: Sequence[Mapping[str, Any]], kind: str = "short"
) -> Markup:
    """A bar for each moment, made of all series, the first one at its foot."""
    clean = _clean(series)
    if not _has_any(times, clean):
        return empty(label)
    step_s = _step(times)
    columns = [
        [max(0.0, values[at] or 0.0) if at < len(values) else 0.0 for _, values in clean]
        for at in range(len(times))
    ]
    high = scales.top(map(sum, columns)) or _EMPTY_TOP.get(kind, 0.0)
    marks = scales.ticks(0.0, high, whole=_is_whole(kind, clean))
    area = _Area(times[0], times[-1] + step_s, marks[-1])
    width = (area.x(times[0] + step_s) - area.x(times[0])) * 0.8
    drawn = [_axes(area, marks, MARKED[kind])]
    for at, column in zip(times, columns, strict=True):
        foot = 0.0
        left = area.x(at) + width / 8
        for number, value in enumerate(column):
            if value > 0:
                high, low = area.y(foot + value), area.y(foot)
                drawn.append(rect(f"f{colour(number)}", left, high, width, low - high))
            foot += value
    drawn.append(_hits(area, times, clean, SAID[kind]))
    return _figure(label, times, clean, kind, Markup().join(drawn))


# --- Pieces ------------------------------------------------------------------------------------------


def _clean(series: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[float | None]]]:
    return [(str(one["name"]), [scales.clean(value) for value in one["values"]]) for one in series]


def _has_any(times: Sequence[float], clean: list[tuple[str, list[float | None]]]) -> bool:
    return bool(times) and any(value is not None for _, values in clean for value in values)


def _is_whole(kind: str, clean: list[tuple[str, list[float | None]]]) -> bool:
    """Counts: the axis has only whole numbers."""
    values = (value for _, values in clean for value in values if value is not None)
    return kind in _WHOLE and all(value == int(value) for value in values)


def _step(times: Sequence[float]) -> float:
    return times[1] - times[0] if len(times) > 1 else 60.0


def _filled(points: Sequence[tuple[float, float] | None]) -> Markup:
    foot = HEIGHT - BOTTOM
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    path = "".join(
        f"M{rounded(run[0][0])} {foot}"
        + "".join(f"L{rounded(x)} {rounded(y)}" for x, y in run)
        + f"V{foot}Z"
        for run in runs
        if run
    )
    return Markup('<path class="area f1" d="{}"/>').format(path)


def _axes(area: _Area, marks: Sequence[float], said: Callable[[Any], str]) -> Markup:
    drawn = [
        Markup(
            '<path class="{}" d="M{} {}H{}"/><text x="{}" y="{}" text-anchor="end">{}</text>'
        ).format(
            "grid" if mark else "axis",
            LEFT,
            rounded(area.y(mark)),
            WIDTH - RIGHT,
            LEFT - 6,
            rounded(area.y(mark) + 4),
            said(mark),
        )
        for mark in marks
    ]
    for tick in scales.moments(area.since_s, area.until_s):
        x = rounded(min(max(area.x(tick.at), LEFT + 8), WIDTH - RIGHT - 14))
        drawn.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x, HEIGHT - 6, tick.text
            )
        )
    return Markup().join(drawn)


def _hits(
    area: _Area,
    times: Sequence[float],
    clean: list[tuple[str, list[float | None]]],
    said: Callable[[Any], str],
) -> Markup:
    """One for each moment, over the whole height: what it tells on hover."""
    step_s = _step(times)
    drawn: list[str] = []
    for place, at in enumerate(times):
        told = "\n".join(
            (
                scales.when(at, step_s),
                *(f"{name}: {said(whole(_at(values, place)))}" for name, values in clean),
            )
        )
        left, right = area.x(at), area.x(at + step_s)
        band = rect("band", left, TOP, right - left, HEIGHT - TOP - BOTTOM)
        drawn.append(f'<g class="hit"><title>{escape(told)}</title>{band}</g>')
    return Markup("".join(drawn))


def _at(values: Sequence[float | None], place: int) -> float | None:
    return values[place] if place < len(values) else None


def _figure(
    label: str,
    times: Sequence[float],
    clean: list[tuple[str, list[float | None]]],
    kind: str,
    body: Markup,
) -> Markup:
    said = SAID[kind]
    legend = Markup().join(
        Markup(
            '<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="f{}" width="10"'
            ' height="10" rx="2"/></svg>{}</li>'
        ).format(colour(number), name)
        for number, (name, _) in enumerate(clean)
    )
    return Markup('<figure>{}<ul class="legend">{}</ul>{}</figure>').format(
        svg(_summary(label, clean, said), body), legend, _table(times, clean, said)
    )


def _summary(
    label: str, clean: list[tuple[str, list[float | None]]], said: Callable[[Any], str]
) -> str:
    told = []
    for name, values in clean:
        known = [value for value in values if value is not None]
        if known:
            low, high = said(whole(min(known))), said(whole(max(known)))
            told.append(f"{name} from {low} to {high}, last {said(whole(known[-1]))}")
    return f"{label}: {'; '.join(told)}"


def _table(
    times: Sequence[float],
    clean: list[tuple[str, list[float | None]]],
    said: Callable[[Any], str],
) -> Markup:
    """The same numbers for those who do not see the drawing; the newest first."""
    step_s = _step(times)
    head = Markup().join(Markup('<th class="num">{}</th>').format(name) for name, _ in clean)
    lines_ = []
    for place in range(len(times) - 1, max(-1, len(times) - 1 - _TABLE_MAX), -1):
        cells = "".join(
            f'<td class="num">{escape(said(whole(_at(values, place))))}</td>' for _, values in clean
        )
        when = scales.when(times[place], step_s)
        lines_.append(f"<tr><td>{escape(when)}</td>{cells}</tr>")
    return Markup(
        '<details class="numbers"><summary>As a table</summary><div class="table"><table><thead><tr>'
        "<th>Time, UTC</th>{}</tr></thead><tbody>{}</tbody></table></div></details>"
    ).format(head, Markup("".join(lines_)))
