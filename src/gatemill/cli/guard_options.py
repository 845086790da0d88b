"""The option that gives a key or a team guards of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.terminal import settings

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.core.guard import Uses

Guards = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        metavar="SIDE:GUARD=MODE",
        help="A guard of its own, such as input:pii=mask or output:secrets=block; none: no guards of"
        " its own. Repeatable.",
    ),
]


def said(uses: Uses) -> str:
    """The guards behind a sentence about limits: "; guards input:pii=mask"; nothing for none."""
    from gatemill.wire import guard_uses

    return f"; guards {guard_uses.words(uses)}" if uses else ""


def own(texts: list[str] | None, config: Path | None) -> Uses:
    """The guards of something new. Raises InvalidValue."""
    from gatemill.core.guard import NOTHING

    return uses(texts, config) or NOTHING


def uses(texts: list[str] | None, config: Path | None) -> Uses | None:
    """The guards that were named, which this configuration has; None: none were. Raises InvalidValue."""
    if not texts:
        return None
    from gatemill.gateway.guards import check
    from gatemill.gateway.local_guards import known_of
    from gatemill.wire import guard_uses

    said = settings(config, {}, ask_servers=False).settings.guards
    found = guard_uses.options(texts, "--guard")
    check(found, known_of(said.patterns, said.pattern_bytes_max, said.hooks), "--guard")
    return found
