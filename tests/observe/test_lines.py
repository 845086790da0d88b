"""The writer thread: order, bounds and readers that are slow or gone. Real pipes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from gatemill.observe.lines import LINES_MAX, WAITING_BYTES_MAX, LineWriter, pieces

PATIENCE_S = 60.0


class Pipe:
    """A pipe whose writing end belongs to a writer."""

    def __init__(self) -> None:
        self.source, self.sink = os.pipe()
        self.writer = LineWriter(self.sink)
        self._open = True

    def leave(self) -> None:
        """The reader goes away."""
        if self._open:
            self._open = False
            os.close(self.source)


@contextmanager
def pipe():
    """A pipe; at the end its thread is over, so that nobody writes to a descriptor of another test."""
    made = Pipe()
    try:
        yield made
    finally:
        made.leave()
        made.writer.close()
        made.writer._thread.join(PATIENCE_S)
        assert not made.writer._thread.is_alive()
        os.close(made.sink)


def reading(source: int) -> tuple[threading.Thread, bytearray]:
    """A thread that reads until the line `end` comes, and what it has read."""
    got = bytearray()

    def read() -> None:
        while not got.endswith(b"end\n") and (data := os.read(source, 1 << 16)):
            got.extend(data)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, got


def test_lines_come_out_in_the_order_in_which_they_went_in():
    with pipe() as made:
        thread, got = reading(made.source)
        for number in range(2000):
            made.writer.write(b"%d\n" % number)
        made.writer.write(b"end\n")
        made.writer.close()
        thread.join(PATIENCE_S)
        assert got.splitlines()[:-1] == [b"%d" % number for number in range(2000)]
        assert made.writer.dropped == 0


def test_nothing_is_written_for_nothing():
    with pipe() as made:
        made.writer.write(b"")
        made.writer.write(b"x\n")
        made.writer.close()
        assert os.read(made.source, 100) == b"x\n"


def test_after_close_everything_is_written():
    with pipe() as made:
        made.writer.write(b"a\n")
        made.writer.write(b"b\n")
        made.writer.close()
        assert os.read(made.source, 100) == b"a\nb\n"
        assert not made.writer._thread.is_alive()


def test_a_pipe_nobody_reads_costs_lines_that_are_counted_and_never_stops_the_caller():
    with pipe() as made:
        stuck = b"x" * (1 << 20) + b"\n"  # more than any pipe holds
        made.writer.write(stuck)
        for _ in range(LINES_MAX + 10):
            made.writer.write(b"y\n")
        # The thread may have taken the first batch by now, or not yet.
        assert made.writer.dropped in (10, 11)
        kept = LINES_MAX + 10 - made.writer.dropped
        got_bytes = 0
        while got_bytes < len(stuck) + 2 * kept:
            got_bytes += len(os.read(made.source, 1 << 20))
        assert got_bytes == len(stuck) + 2 * kept


def test_batches_that_wait_are_bounded_in_bytes_too():
    with pipe() as made:
        stuck = b"x" * (1 << 20)
        for _ in range(WAITING_BYTES_MAX // len(stuck) + 5):
            made.writer.write(stuck)
        assert made.writer.dropped == 5
        for _ in range(3):
            os.read(made.source, 1 << 20)


@pytest.mark.parametrize("reads", [True, False])
def test_what_has_been_written_or_lost_waits_no_more(reads):
    with pipe() as made:
        if reads:
            thread, _ = reading(made.source)
        else:
            made.leave()
        made.writer.write(b"x" * 300_000)
        made.writer.write(b"end\n")
        made.writer.close()
        if reads:
            thread.join(PATIENCE_S)
        assert made.writer._waiting_bytes == 0
        assert made.writer.dropped == (0 if reads else 2)


def test_a_reader_that_has_gone_costs_lines_that_are_counted_and_nothing_else():
    with pipe() as made:
        made.leave()
        made.writer.write(b"a\n")
        made.writer.write(b"b\n")
        made.writer.close()
        assert made.writer.dropped == 2
        assert not made.writer._thread.is_alive()


def test_closing_twice_is_harmless():
    with pipe() as made:
        made.writer.close()
        made.writer.close()
        made.writer.write(b"late\n")
        assert made.writer.dropped == 0


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_batch_larger_than_the_pipe_arrives_whole(pieces):
    with pipe() as made:
        thread, got = reading(made.source)
        for _ in range(pieces):
            made.writer.write(b"y" * 300_000 + b"\n")
        made.writer.write(b"end\n")
        made.writer.close()
        thread.join(PATIENCE_S)
        assert [len(line) for line in got.splitlines()] == [300_000] * pieces + [3]


def test_a_pipe_gets_whole_lines_and_a_long_one_by_itself():
    most = select.PIPE_BUF
    short, fits, long = b"a" * 99 + b"\n", b"b" * (most - 1) + b"\n", b"c" * most + b"\n"
    lines = short * 50 + fits + long + short + b"no end"
    found = [bytes(piece) for piece in pieces(lines)]
    assert b"".join(found) == lines
    assert [one for one in found if len(one) > most] == [long]
    assert fits in found
    assert all(one.endswith(b"\n") for one in found[:-1])
    assert list(pieces(b"")) == []


WRITES = """
import sys
from gatemill.observe.lines import LineWriter
writer = LineWriter(sys.stdout.fileno())
for _ in range(40):
    writer.write((sys.argv[1] * 299 + "\\n").encode() * 60)
writer.close()
writer._thread.join()  # to the last one, however long whoever reads them stands still
"""


def test_lines_of_several_processes_into_one_pipe_do_not_tear_each_other():
    source, sink = os.pipe()
    words = [sys.executable, "-c", WRITES]
    writing = [subprocess.Popen([*words, name], stdout=sink) for name in "abc"]
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        lines = file.read().splitlines()
    assert [one.wait() for one in writing] == [0, 0, 0]
    assert set(lines) == {name * 299 for name in (b"a", b"b", b"c")}
    assert len(lines) == 3 * 40 * 60
