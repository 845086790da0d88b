"""A whole house in the test's own process and loop, with a real listener on a free port."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

import databases
from gatemill import house
from gatemill.core.clock import SystemClock
from gatemill.edge import app as application
from gatemill.edge.devkey import ensure_dev_key
from gatemill.edge.listening import listen, make_door
from gatemill.edge.reload import Reloader
from gatemill.edge.shown import Shown
from gatemill.observe.lines import LineWriter
from gatemill.settings.source import Draft, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatemill.edge.door import Door
    from gatemill.jobs.crew import Crew


class Opened(Struct):
    """What a test talks to."""

    port: int
    key: str
    door: Door
    home: house.House
    shown: Shown | None = None
    crew: Crew | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def opened(
    tmp_path: Path, config: str = "", *, works: bool = False, **environ: str
) -> AsyncIterator[Opened]:
    """A running house with this TOML; closed again, with nothing left behind.

    With `works` it runs jobs, too, as `gatemill serve` does.
    """
    file = tmp_path / "gatemill.toml"
    file.write_text(config)
    source = Source(file, environ, {"server.data_dir": str(tmp_path / "data")}, lister=None)
    draft = source.load()
    assert isinstance(draft, Draft), draft
    loaded = draft.loaded
    clock = SystemClock()
    sink = os.open(tmp_path / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer = LineWriter(sink)
    if not loaded.settings.stores.database:
        databases.lay(loaded.settings.data_dir)
    ledger = house.open_ledger(loaded.settings, clock)
    key_path = await ensure_dev_key(ledger, loaded.settings.data_dir, wanted=True)
    assert key_path is not None
    home = house.build(loaded, ledger, clock, (writer, False))
    await home.open()
    shown = Shown(healthy=ledger.healthy, open_metrics=True)
    app = application.build(shown, with_docs=True)
    door = shown.door = make_door(home, loaded.settings, app)
    tools = (clock, (writer, False))
    reloader = Reloader((home, draft), source, door, lambda _settings: None, tools)
    shown.reloader = reloader
    crew = house.crew_of(lambda: reloader.home, house.embedded(loaded.settings, ()))
    if works:
        crew.start()
    server = await listen(door, "127.0.0.1", 0)
    try:
        port, key = server.sockets[0].getsockname()[1], key_path.read_text().strip()
        yield Opened(port=port, key=key, door=door, home=home, shown=shown, crew=crew)
    finally:
        server.close()
        if works:
            await crew.drain(0.0)
        door.drain()
        door.close()
        await asyncio.sleep(0)
        await reloader.close()
        writer.close()
        os.close(sink)
