"""The writer thread: order, bounds and readers that are slow or gone. Real pipes."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

import pytest

from gatemill.observe.lines import LINES_MAX, LineWriter

PATIENCE_S = 20.0


@contextmanager
def pipe():
    """(descriptor to read, writer into the other end)."""
    source, sink = os.pipe()
    try:
        yield source, LineWriter(sink)
    finally:
        for fd in (source, sink):
            try:
                os.close(fd)
            except OSError:  # the test has closed it
                continue


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
    with pipe() as (source, writer):
        thread, got = reading(source)
        for number in range(2000):
            writer.write(b"%d\n" % number)
        writer.write(b"end\n")
        writer.close()
        thread.join(PATIENCE_S)
        assert got.splitlines()[:-1] == [b"%d" % number for number in range(2000)]
        assert writer.dropped == 0


def test_nothing_is_written_for_nothing():
    with pipe() as (source, writer):
        writer.write(b"")
        writer.write(b"x\n")
        writer.close()
        assert os.read(source, 100) == b"x\n"


def test_after_close_everything_is_written():
    with pipe() as (source, writer):
        writer.write(b"a\n")
        writer.write(b"b\n")
        writer.close()
        assert os.read(source, 100) == b"a\nb\n"
        assert not writer._thread.is_alive()


def test_a_pipe_nobody_reads_costs_lines_that_are_counted_and_never_stops_the_caller():
    with pipe() as (source, writer):
        stuck = b"x" * (1 << 20) + b"\n"  # more than any pipe holds
        for _ in range(LINES_MAX + 10):
            writer.write(stuck)
        # One may be in the thread's hands, the rest of what was kept is in the queue.
        assert writer.dropped in (9, 10)
        kept = LINES_MAX + 10 - writer.dropped
        got_bytes = 0
        while got_bytes < 3 * len(stuck):
            got_bytes += len(os.read(source, 1 << 20))
        assert kept in (LINES_MAX, LINES_MAX + 1)
        os.close(source)


def test_a_reader_that_has_gone_costs_lines_that_are_counted_and_nothing_else():
    with pipe() as (source, writer):
        os.close(source)
        writer.write(b"a\n")
        writer.write(b"b\n")
        writer.close()
        assert writer.dropped == 2
        assert not writer._thread.is_alive()


def test_closing_twice_is_harmless():
    with pipe() as (source, writer):
        writer.close()
        writer.close()
        writer.write(b"late\n")
        assert writer.dropped == 0


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_batch_larger_than_the_pipe_arrives_whole(pieces):
    with pipe() as (source, writer):
        thread, got = reading(source)
        for _ in range(pieces):
            writer.write(b"y" * 300_000 + b"\n")
        writer.write(b"end\n")
        writer.close()
        thread.join(PATIENCE_S)
        assert [len(line) for line in got.splitlines()] == [300_000] * pieces + [3]
