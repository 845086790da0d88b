"""How the rooms hear of changes that another process made."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import databases
from gatemill.core.clock import SystemClock
from gatemill.core.errors import LedgerUnavailable
from gatemill.house import rooms as house_rooms
from gatemill.house.rooms import Watcher
from gatemill.ledger import revisions
from gatemill.ledger.ledger import Ledger


class Noted:
    """Rooms that note what they are told to read anew."""

    def __init__(self) -> None:
        self.told: list[set[str]] = []
        self.error: Exception | None = None
        self.heard: asyncio.Queue[None] = asyncio.Queue()  # as often as it was told
        self.slow: dict[str, asyncio.Event] = {}  # rooms that wait before they have read

    async def refresh(self, changed) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.told.append(set(changed))
        self.heard.put_nowait(None)
        for room in self.slow.keys() & changed:
            await self.slow[room].wait()

    def tick(self) -> None:
        """Nothing is due."""


@pytest.fixture
async def ledger(tmp_path: Path):
    databases.lay(tmp_path)
    opened = Ledger.open(tmp_path, None, SystemClock())
    yield opened
    await opened.close()


async def changed(ledger: Ledger, room: str) -> None:
    await ledger._write(lambda db: revisions.bump(db, room))


async def test_a_room_reads_anew_when_its_number_has_risen_and_only_then(ledger: Ledger):
    rooms, watcher = Noted(), Watcher(ledger)
    watcher.follow(rooms)
    await watcher.look()
    assert rooms.told == []
    await changed(ledger, "registry")
    await watcher.look()
    await watcher.look()
    assert rooms.told == [{"registry"}]
    await changed(ledger, "registry")
    await changed(ledger, "features")
    await watcher.look()
    assert rooms.told == [{"registry"}, {"registry", "features"}]


async def test_rooms_made_by_a_reload_read_everything_that_was_ever_changed(ledger: Ledger):
    first, second, watcher = Noted(), Noted(), Watcher(ledger)
    await changed(ledger, "registry")
    watcher.follow(first)
    await watcher.look()
    watcher.follow(second)
    await watcher.look()
    assert first.told == second.told == [{"registry"}]


async def test_what_could_not_be_read_is_read_at_the_next_look(ledger: Ledger):
    rooms, watcher = Noted(), Watcher(ledger)
    watcher.follow(rooms)
    await changed(ledger, "experiments")
    rooms.error = LedgerUnavailable("It is away.")
    with pytest.raises(LedgerUnavailable):
        await watcher.look()
    await watcher.look()
    assert rooms.told == [{"experiments"}]


async def test_watching_ends_with_the_house(ledger: Ledger):
    rooms, watcher = Noted(), Watcher(ledger)
    await changed(ledger, "registry")
    await watcher.open(rooms)
    assert rooms.told == [{"registry"}]
    await watcher.close()
    await watcher.close()


async def told_again(rooms: Noted) -> None:
    async with asyncio.timeout(60):
        await rooms.heard.get()


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), LedgerUnavailable("It is away.")])
async def test_whatever_goes_wrong_the_next_look_comes(ledger: Ledger, monkeypatch, error):
    monkeypatch.setattr(house_rooms, "WATCH_S", 0.01)
    rooms, watcher = Noted(), Watcher(ledger)
    await watcher.open(rooms)
    rooms.error = error
    await changed(ledger, "registry")
    await told_again(rooms)
    await watcher.close()
    assert rooms.error is None
    assert rooms.told == [{"registry"}]


async def test_a_room_that_reads_for_long_holds_up_no_other(ledger: Ledger, monkeypatch):
    monkeypatch.setattr(house_rooms, "WATCH_S", 0.01)
    rooms, watcher = Noted(), Watcher(ledger)
    await watcher.open(rooms)
    rooms.slow["registry"] = asyncio.Event()
    await changed(ledger, "registry")
    await told_again(rooms)
    await changed(ledger, "registry")
    await changed(ledger, "experiments")
    await told_again(rooms)
    rooms.slow.pop("registry").set()
    await told_again(rooms)
    await watcher.close()
    assert rooms.told == [{"registry"}, {"experiments"}, {"registry"}]
