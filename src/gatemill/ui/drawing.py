"""What charts are drawn with. Rule: pure; all text is escaped, all numbers are finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from gatemill.ui import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WIDTH, HEIGHT = 480, 200  # of a drawing; a page scales it to the width that there is
LEFT, RIGHT, TOP, BOTTOM = 64, 10, 10, 24  # margins that hold the axes
COLOURS = 6
# How the numbers of a chart are written, by the word that pages say.
SAID: Final[dict[str, Callable[[Any], str]]] = {
    "number": words.number,
    "short": words.short,
    "usd": words.usd,
    "percent": words.percent,
    "duration": words.duration,
}
# Along an axis the numbers are round, and zeros at their ends say nothing.
MARKED: Final[dict[str, Callable[[Any], str]]] = {**SAID, "usd": words.usd_mark}


def told(tile: Mapping[str, Any]) -> str:
    """The number of a tile in words; `kind` is one of SAID, and `unpriced` stands in those of money."""
    if "unpriced" in tile:
        return words.spent(tile["value"], tile["unpriced"])
    return SAID[tile["kind"]](tile["value"])


def colour(number: int) -> int:
    """The number of the colour of the nth series: its class is s1 (line) or f1 (filled)."""
    return number % COLOURS + 1


def rounded(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def path(points: Sequence[tuple[float, float] | None]) -> str:
    """Lines between neighbours; a point alone is a dot."""
    parts: list[str] = []
    is_down = False
    for place, point in enumerate(points):
        if point is None:
            is_down = False
            continue
        x, y = rounded(point[0]), rounded(point[1])
        parts.append(f"L{x} {y}" if is_down else f"M{x} {y}")
        if not is_down and (place + 1 == len(points) or points[place + 1] is None):
            parts.append("m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0")
        is_down = True
    return "".join(parts)


def rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    """A rectangle; `kind` is its class."""
    # Not by Markup.format: there are hundreds in a chart, and all of them are numbers and our own words.
    place = f'x="{rounded(x)}" y="{rounded(y)}"'
    return Markup(
        f'<rect class="{kind}" {place} width="{rounded(width)}" height="{rounded(height)}"/>'
    )


def upright(kind: str, x: float, height: float, text: str) -> Markup:
    """A line over the height of the drawing, with words below it."""
    return Markup(
        '<path class="{0}" d="M{1} {2}V{3}"/><text x="{1}" y="{4}" text-anchor="middle">{5}</text>'
    ).format(kind, rounded(x), TOP, height - BOTTOM, height - 8, text)


def whole(value: float | None) -> float | int | None:
    """The value, as an integer where it is one: words of counts have no decimals."""
    return int(value) if value is not None and value == int(value) else value


def svg(label: str, body: Markup, height: int = HEIGHT) -> Markup:
    """The drawing; `label` says all of it in words."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, height, label, body)


def empty(label: str) -> Markup:
    """What stands where there is nothing to draw."""
    body = Markup('<text x="{}" y="{}" text-anchor="middle">nothing yet</text>').format(
        WIDTH // 2, HEIGHT // 2
    )
    return Markup("<figure>{}</figure>").format(svg(f"{label}: nothing yet", body))
