"""What the registry does by itself: follow MLflow's aliases, and try again what could not be loaded.

Rule: one look at a time, in the background; a failure is logged and the next look tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gatemill.core.errors import GatemillError
from gatemill.ledger.registry_rows import Move, NewVersion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.registry.desk import Desk
    from gatemill.registry.mlflow import Mlflow
    from gatemill.registry.table import Base

ACTOR = "mlflow"
RETRY_S = 60.0  # between two tries to load what could not be loaded


async def look(desk: Desk, mlflow: Mlflow | None, seen: dict[str, str]) -> None:
    """`seen` holds where each followed alias pointed at the last look; it is brought up to date."""
    try:
        if desk.table.failed:
            await desk.refresh()
        if mlflow is not None:
            for name, base in list(_followed(desk)):
                await _follow(desk, mlflow, seen, (name, base))
    except GatemillError as error:
        structlog.get_logger().warning(
            "registry_not_followed", code=error.code, message=error.message
        )


def _followed(desk: Desk) -> Iterator[tuple[str, Base]]:
    """Each name with the newest version that came of an alias of MLflow's."""
    for name, entry in desk.table.entries.items():
        newest = {base.origin: base for base in entry.versions.values() if base.origin}
        for base in newest.values():
            yield name, base


async def _follow(desk: Desk, mlflow: Mlflow, seen: dict[str, str], what: tuple[str, Base]) -> None:
    name, base = what
    mark = f"{name} {base.origin}"
    source = await mlflow.pinned(base.origin)
    if source == seen.setdefault(mark, base.source):
        return
    spec = base.spec
    assert spec is not None, "what comes of MLflow runs here"
    new = NewVersion(source=base.origin, engine=spec.engine, options=spec.options)
    made = await desk.add(name, new, ACTOR, once=True)
    alias = base.origin.partition("@")[2]
    if alias in desk.entry(name).aliases:
        reason = f"MLflow moved {base.origin} to {source}."
        await desk.move(Move(name, alias, reason, ACTOR), made.version)
    seen[mark] = source
