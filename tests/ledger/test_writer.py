import threading

import pytest

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.ledger.writer import WORK_MAX, Writer

PATIENCE_S = 10.0


class Notebook:
    """Duties that write down what happened to them."""

    def __init__(self, fault=None):
        self.fault = fault
        self.waiting = 0
        self.flushed = threading.Event()
        self.polls = threading.Semaphore(0)
        self.closed = False
        self.threads = set()

    def start(self):
        if self.fault:
            raise self.fault
        return self

    def flush(self, database):
        self.threads.add(threading.get_ident())
        if self.waiting:
            self.waiting -= 1
            return 0.0
        self.flushed.set()
        return None

    def poll(self, database):
        self.polls.release()

    def close(self):
        self.closed = True


@pytest.fixture
def duties():
    return Notebook()


@pytest.fixture
def writer(duties):
    started = Writer(duties)
    started.start()
    yield started
    started.stop().result(PATIENCE_S)


def test_work_runs_in_order_in_one_thread(writer):
    seen = []

    def note(number):
        return lambda database: seen.append((number, threading.get_ident()))

    for future in [writer.submit(note(number)) for number in range(100)]:
        future.result(PATIENCE_S)
    assert [number for number, _ in seen] == list(range(100))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_what_work_raises_reaches_its_caller_and_nobody_else(writer):
    def fail(database):
        raise ZeroDivisionError

    failing, working = writer.submit(fail), writer.submit(lambda database: "done")
    with pytest.raises(ZeroDivisionError):
        failing.result(PATIENCE_S)
    assert working.result(PATIENCE_S) == "done"


def test_rows_are_flushed_until_none_is_left(writer, duties):
    duties.waiting = 3
    writer.wake()
    assert duties.flushed.wait(PATIENCE_S)
    assert duties.waiting == 0
    assert duties.threads != {threading.get_ident()}


def test_the_thread_wants_to_be_woken_again_after_a_flush(writer, duties):
    writer.wake()
    assert duties.flushed.wait(PATIENCE_S)
    assert not writer.awake


def test_the_database_is_looked_at_without_anybody_asking(writer, duties):
    assert duties.polls.acquire(timeout=PATIENCE_S)
    assert duties.polls.acquire(timeout=PATIENCE_S)


def test_a_start_that_fails_raises_what_it_failed_with():
    writer = Writer(Notebook(LedgerUnavailable("no disk")))
    with pytest.raises(LedgerUnavailable, match="no disk"):
        writer.start()
    writer.stop().result(PATIENCE_S)
    with pytest.raises(LedgerUnavailable):
        writer.submit(lambda database: None)


def test_stopping_finishes_work_and_rows_and_closes_the_database(duties):
    writer = Writer(duties)
    writer.start()
    duties.waiting = 5
    last = writer.submit(lambda database: "last")
    writer.stop().result(PATIENCE_S)
    assert last.result(0) == "last"
    assert duties.waiting == 0
    assert duties.closed
    with pytest.raises(LedgerUnavailable, match="closed"):
        writer.submit(lambda database: None)


def test_too_much_waiting_work_is_refused(writer):
    gate = threading.Event()
    begun = threading.Event()

    def block(database):
        begun.set()
        gate.wait(PATIENCE_S)

    writer.submit(block)
    assert begun.wait(PATIENCE_S)
    waiting = [writer.submit(lambda database: None) for _ in range(WORK_MAX)]
    with pytest.raises(Overloaded):
        writer.submit(lambda database: None)
    gate.set()
    for future in waiting:
        future.result(PATIENCE_S)


def test_work_whose_caller_has_gone_is_not_done(writer):
    gate = threading.Event()
    writer.submit(lambda database: gate.wait(PATIENCE_S))
    done = []
    abandoned = writer.submit(done.append)
    assert abandoned.cancel()
    gate.set()
    writer.submit(lambda database: None).result(PATIENCE_S)
    assert done == []
