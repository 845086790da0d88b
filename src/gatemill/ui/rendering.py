"""Templates to HTML. Rule: everything is escaped; a name that the page did not hand over is an error, not an empty place."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gatemill.ui import assets, charts, words
from gatemill.ui.drawing import told

if TYPE_CHECKING:
    from collections.abc import Mapping

# No inline style or script ever: SVG is drawn with classes and attributes.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def render(template: str, context: Mapping[str, Any], now_s: float) -> str:
    """The page as HTML. `now_s` is the present, for "5 min ago"."""
    return _environment().get_template(template).render(**context, now_s=now_s, ago=_ago(now_s))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("gatemill.ui", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=words.number,
        short=words.short,
        usd=words.usd,
        spent=words.spent,
        percent=words.percent,
        duration=words.duration,
        span=words.span,
        moment=words.moment,
        size=words.size,
    )
    made.globals.update(asset=assets.url, nothing=words.NOTHING, charts=charts, told=told)
    return made


def _ago(now_s: float) -> Any:
    def ago(at_s: float | None) -> Markup | str:
        """A moment, as a time element that a script keeps up to date."""
        if at_s is None:
            return words.NOTHING
        told = escape(words.ago(at_s, now_s))
        return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
            words.iso(at_s), words.moment(at_s), told
        )

    return ago
