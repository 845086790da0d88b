import asyncio
import threading
from contextlib import contextmanager

import pytest

from gatemill.core.errors import InvalidValue, LedgerUnavailable, NotFound, Overloaded
from gatemill.ledger.writer import SHARE_MAX, UNAVAILABLE_MAX, WORK_MAX, Writer

PATIENCE_S = 60.0


class Notebook:
    """Duties that write down what happened to them."""

    def __init__(self, fault=None):
        self.fault = fault
        self.waiting = 0
        self.flushed = threading.Event()
        self.polls = threading.Semaphore(0)
        self.closed = False
        self.threads = set()
        self.commits = 0  # tried
        self.unavailable = 0  # that fail from now on

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

    @contextmanager
    def transaction(self):
        self.commits += 1
        if self.unavailable:
            self.unavailable -= 1
            raise LedgerUnavailable("The disk is full.")
        yield


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


# --- Units that share a commit --------------------------------------------------------------------


@pytest.fixture
def busy(writer):
    """The thread is busy until this is set, so that what is handed over waits."""
    gate, begun = threading.Event(), threading.Event()

    def block(database):
        begun.set()
        gate.wait(PATIENCE_S)

    writer.submit(block)
    assert begun.wait(PATIENCE_S)
    yield gate
    gate.set()


async def test_units_that_wait_share_one_commit(writer, duties, busy):
    futures = [writer.share(lambda db, number=number: number) for number in range(SHARE_MAX)]
    busy.set()
    assert await asyncio.gather(*futures) == list(range(SHARE_MAX))
    assert duties.commits == writer.commits == 1
    assert writer.units == SHARE_MAX


async def test_a_commit_has_a_bounded_number_of_units(writer, duties, busy):
    futures = [writer.share(lambda db: None) for _ in range(SHARE_MAX + 1)]
    busy.set()
    await asyncio.gather(*futures)
    assert duties.commits == 2


async def test_other_work_keeps_its_place_among_units(writer, duties, busy):
    seen = []
    first = writer.share(lambda db: seen.append("first"))
    writer.wake()
    second = writer.share(lambda db: seen.append("second"))
    work = writer.submit(lambda db: seen.append("work"))
    third = writer.share(lambda db: seen.append("third"))
    busy.set()
    await asyncio.gather(first, second, asyncio.wrap_future(work), third)
    assert seen == ["first", "second", "work", "third"]
    assert duties.commits == 2


async def test_a_unit_that_fails_disturbs_no_other(writer, duties, busy):
    ran = []

    def fail(database):
        ran.append("bad")
        raise InvalidValue("It does not fit.")

    units = [lambda db: ran.append("a"), fail, lambda db: ran.append("b")]
    futures = [writer.share(unit) for unit in units]
    busy.set()
    found = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(each) for each in found] == [type(None), InvalidValue, type(None)]
    assert ran == ["a", "bad", "a", "bad", "b"]  # together, then each alone
    assert writer.units == 2


async def test_a_unit_that_returns_an_error_refuses_without_disturbing_anybody(
    writer, duties, busy
):
    futures = [writer.share(lambda db: NotFound("There is none.")), writer.share(lambda db: 1)]
    busy.set()
    with pytest.raises(NotFound, match="There is none"):
        await futures[0]
    assert await futures[1] == 1
    assert duties.commits == 1


async def test_when_the_database_is_away_not_every_unit_waits_for_it(writer, duties, busy):
    duties.unavailable = 99
    futures = [writer.share(lambda db: 1) for _ in range(20)]
    busy.set()
    found = await asyncio.gather(*futures, return_exceptions=True)
    assert {type(each) for each in found} == {LedgerUnavailable}
    assert duties.commits == 1 + UNAVAILABLE_MAX


async def test_a_single_unavailable_moment_costs_nobody_anything(writer, duties, busy):
    duties.unavailable = 1
    futures = [writer.share(lambda db: 1) for _ in range(20)]
    busy.set()
    assert await asyncio.gather(*futures) == [1] * 20


async def test_a_unit_whose_caller_has_gone_is_not_run(writer, busy):
    ran = []
    gone, here = writer.share(ran.append), writer.share(lambda db: None)
    gone.cancel()
    busy.set()
    await here
    assert ran == []


async def test_a_caller_that_goes_during_the_commit_is_forgotten(writer):
    begun, gate = threading.Event(), threading.Event()

    def slow(database):
        begun.set()
        gate.wait(PATIENCE_S)

    future = writer.share(slow)
    await asyncio.to_thread(begun.wait, PATIENCE_S)
    future.cancel()
    gate.set()
    assert await writer.share(lambda db: "next") == "next"


def test_a_loop_that_was_closed_is_not_told(writer, busy):
    async def leave():
        writer.share(lambda db: None)

    asyncio.run(leave())
    busy.set()
    assert writer.submit(lambda db: "next").result(PATIENCE_S) == "next"


async def test_units_are_refused_when_too_much_waits_and_after_the_end(writer, busy):
    futures = [writer.share(lambda db: None) for _ in range(WORK_MAX)]
    with pytest.raises(Overloaded):
        writer.share(lambda db: None)
    busy.set()
    await asyncio.gather(*futures)
    await asyncio.wrap_future(writer.stop())
    with pytest.raises(LedgerUnavailable):
        writer.share(lambda db: None)
