import asyncio

import pytest

from gatemill.core import later
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.later import Bounds, Later


class Writer:
    def __init__(self):
        self.groups = []
        self.failing = False
        self.wrote = asyncio.Event()

    async def write(self, rows):
        if self.failing:
            self.wrote.set()
            raise LedgerUnavailable("It is away.")
        await asyncio.sleep(0)
        self.groups.append(list(rows))
        self.wrote.set()


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(later, "GATHER_S", 0.001)
    monkeypatch.setattr(later, "RETRY_S", 0.001)


def made(writer, rows_max=10, bytes_max=100, group_rows=3, group_bytes=50):
    return Later("test", writer.write, Bounds(rows_max, bytes_max, group_rows, group_bytes))


async def test_rows_are_written_in_groups_and_in_order(writer):
    rows = made(writer)
    for number in range(7):
        assert rows.add(number)
    assert rows.waiting == 7
    await rows.close()
    assert writer.groups == [[0, 1, 2], [3, 4, 5], [6]]
    assert (rows.written, rows.dropped, rows.waiting) == (7, 0, 0)


async def test_it_writes_by_itself_and_again_after_a_pause(writer):
    rows = made(writer)
    for number in range(2):
        writer.wrote.clear()
        rows.add(number)
        await writer.wrote.wait()
        await asyncio.sleep(0.01)
    assert writer.groups == [[0], [1]]
    await rows.close()


async def test_what_has_no_room_is_dropped_and_counted(writer):
    rows = made(writer, rows_max=2)
    assert [rows.add(number) for number in range(3)] == [True, True, False]
    small = made(writer, bytes_max=10)
    assert [small.add(number, 6) for number in range(2)] == [True, False]
    assert (rows.dropped, small.dropped) == (1, 1)
    await rows.close()
    await small.close()
    assert small.bytes == 0


async def test_a_group_is_no_larger_than_it_may_be(writer):
    rows = made(writer)
    for size in (60, 20, 20):  # one alone may be larger than a group
        assert rows.add(size, size)
    await rows.close()
    assert writer.groups == [[60], [20, 20]]


async def test_a_writer_that_fails_is_tried_again(writer):
    rows = made(writer)
    writer.failing = True
    rows.add("a")
    await writer.wrote.wait()
    rows.add("b")
    writer.failing = False
    writer.wrote.clear()
    await writer.wrote.wait()
    await rows.close()
    assert [row for group in writer.groups for row in group] == ["a", "b"]
    assert rows.failures >= 1


async def test_what_cannot_be_written_at_the_end_is_counted(writer):
    rows = made(writer)
    writer.failing = True
    rows.add("a", 5)
    await rows.close()
    assert (rows.dropped, rows.bytes, rows.waiting) == (1, 0, 0)


async def test_who_looks_for_rows_finds_those_added_before(writer):
    rows = made(writer)
    rows.add("a")
    await rows.flushed()
    assert writer.groups == [["a"]]
    writer.failing = True
    rows.add("b")
    await rows.flushed()
    assert rows.waiting == 1
    await rows.close()
