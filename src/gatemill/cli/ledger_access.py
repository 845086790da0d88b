"""How a command reaches the ledger. Rule: a database is made only by commands that say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.terminal import settings

if TYPE_CHECKING:
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.place import Place

T = TypeVar("T")

Config = Annotated[Path | None, typer.Option(help="Configuration file.")]
DataDir = Annotated[str | None, typer.Option(help="Folder of the database.")]
ServerConfig = Annotated[
    Path | None, typer.Option(help="Configuration file; by default ./gatemill.toml, if any.")
]
ServerData = Annotated[
    str | None, typer.Option(help="Folder of the database, as the server has it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def located(
    config: Path | None, data_dir: str | None, *, makes: bool = False
) -> tuple[Path, Place]:
    """The data directory and where the database lies. Only with `makes` may its file be missing."""
    from gatemill.ledger.place import locate

    loaded = settings(config, {"server.data_dir": data_dir}, ask_servers=False)
    folder = loaded.settings.data_dir
    place = locate(folder, loaded.settings.stores.database or None)
    if not makes and place.path is not None and not place.path.exists():
        raise Failure(
            f"there is no database at {place.path}",
            fix="gatemill keys create NAME makes it, or name the folder with --data-dir",
        )
    return folder, place


def with_ledger(
    config: Path | None,
    data_dir: str | None,
    work: Callable[[Ledger, float], Awaitable[T]],
    *,
    makes: bool = False,
) -> T:
    """What `work` gives for the ledger and the Unix time. Only with `makes` may the database be new."""
    import asyncio

    from gatemill.core.clock import SystemClock
    from gatemill.ledger.ledger import Ledger

    folder, place = located(config, data_dir, makes=makes)
    clock = SystemClock()

    async def run() -> T:
        ledger = Ledger.open(folder, place.address, clock)
        try:
            return await work(ledger, clock.unix_s())
        finally:
            await ledger.close()

    return asyncio.run(run())
