"""A configuration file that is watched: loaded once it has changed and stays as it is."""

from __future__ import annotations

import asyncio
import os

import pytest

from gatemill.core.tasks import spawn
from gatemill.edge.reload import watch


class Looks:
    """A watcher that looks when it is told to."""

    def __init__(self, file):
        self.seen = []
        self._file = file
        self._turns = asyncio.Queue()
        self._looked = asyncio.Queue()
        self.task = spawn(watch(file, self._changed, self._pause), "watch")

    async def _changed(self):
        self.seen.append(self._file.read_text())

    async def _pause(self):
        self._looked.put_nowait(None)
        await self._turns.get()

    async def look(self, times=1):
        """It has looked so many times more."""
        if not self._looked.qsize():
            await self._looked.get()
        else:
            self._looked.get_nowait()
        for _ in range(times):
            self._turns.put_nowait(None)
            await self._looked.get()
        self._looked.put_nowait(None)


@pytest.fixture
async def looks(tmp_path):
    file = tmp_path / "watched.toml"
    file.write_text("one")
    made = Looks(file)
    yield file, made
    made.task.cancel()


async def test_a_file_that_stays_is_not_loaded_again(looks):
    _, watcher = looks
    await watcher.look(5)
    assert watcher.seen == []


async def test_a_change_is_loaded_once_it_looks_the_same_twice(looks):
    file, watcher = looks
    await watcher.look()
    file.write_text("half")
    await watcher.look()
    assert watcher.seen == []
    file.write_text("a whole one")
    await watcher.look()
    assert watcher.seen == []
    await watcher.look(3)
    assert watcher.seen == ["a whole one"]


async def test_a_file_that_another_one_replaces_is_a_change(looks, tmp_path):
    file, watcher = looks
    await watcher.look()
    before = file.stat()
    new = tmp_path / "new.toml"
    new.write_text("two")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(file)
    await watcher.look(2)
    assert watcher.seen == ["two"]


async def test_a_file_that_is_gone_for_a_moment_is_waited_for(looks):
    file, watcher = looks
    await watcher.look()
    file.unlink()
    await watcher.look(3)
    assert watcher.seen == []
    file.write_text("back again")
    await watcher.look(2)
    assert watcher.seen == ["back again"]
