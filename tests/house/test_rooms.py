"""How the rooms hear of changes that another process made."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatemill.core.clock import SystemClock
from gatemill.core.errors import LedgerUnavailable
from gatemill.house.rooms import Watcher
from gatemill.ledger import revisions
from gatemill.ledger.ledger import Ledger


class Noted:
    """Rooms that note what they are told to read anew."""

    def __init__(self) -> None:
        self.told: list[set[str]] = []
        self.fails = False

    async def refresh(self, changed) -> None:
        if self.fails:
            raise LedgerUnavailable("It is away.")
        self.told.append(set(changed))

    def tick(self) -> None:
        """Nothing is due."""


@pytest.fixture
async def ledger(tmp_path: Path):
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
    rooms.fails = True
    with pytest.raises(LedgerUnavailable):
        await watcher.look()
    rooms.fails = False
    await watcher.look()
    assert rooms.told == [{"experiments"}]


async def test_watching_ends_with_the_house(ledger: Ledger):
    rooms, watcher = Noted(), Watcher(ledger)
    await changed(ledger, "registry")
    await watcher.open(rooms)
    assert rooms.told == [{"registry"}]
    await watcher.close()
    await watcher.close()
