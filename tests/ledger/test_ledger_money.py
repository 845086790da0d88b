"""The ledger as a whole: attempts that outlive a crash, unsettled rows, what was spent, what is kept."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest

import databases
from crews import until
from gatemill.core.clock import FakeClock
from gatemill.ledger.claims import Claims, Done, New, Running
from gatemill.ledger.holds import SLOTS_MAX, Holds
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.reports import Query
from gatemill.ledger.requests import Sieve, Wanted
from gatemill.ledger.upkeep import SETTLE_AFTER_S, TIDY_S
from usage_rows import usage_row

TODAY_S = 1_763_683_200  # a midnight
NOW_S = TODAY_S + 43_200.0
DAY_S = 86_400.0
PATIENCE_S = 60.0


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@asynccontextmanager
async def opened(folder, clock):
    databases.lay(folder)
    ledger = Ledger.open(folder, None, clock)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def ledger(tmp_path, clock):
    async with opened(tmp_path, clock) as found:
        yield found


def attempt(name, **fields):
    return usage_row(name, unsettled=True, error="unsettled", estimated=True, at=NOW_S, **fields)


async def shown(ledger, wanted):
    """The newest rows, as soon as they are as wanted."""
    async with asyncio.timeout(PATIENCE_S):
        while True:  # what is looked at tells nobody when it changes
            if wanted(rows := await ledger.recent(10)):
                return rows
            await asyncio.sleep(0.01)


def dead(folder, *rows):
    """The name of a process that died while it held rows: what is left of it is a file."""
    (folder / "journal").mkdir(exist_ok=True)
    holds = Holds(folder / "journal", 2, 2, print)
    for row in rows:
        holds.hold(row)
    holds.close(remove=False)
    return holds.owner


async def test_an_attempt_of_a_dead_process_becomes_an_unsettled_row_and_is_settled(
    tmp_path, clock, ledger
):
    ledger.record(usage_row("over", at=NOW_S))
    dead(tmp_path, attempt("over", cost_microusd=999), attempt("lost", cost_microusd=999))
    clock.advance(TIDY_S)  # the living one looks around
    rows = await shown(ledger, lambda rows: len(rows) == 2 and ledger.counters.rows_unsettled)
    assert {(row.request_id, row.unsettled, row.cost_microusd) for row in rows} == {
        ("req_over", False, 250),
        ("req_lost", True, 999),
    }
    clock.advance(SETTLE_AFTER_S - 1)
    await shown(ledger, lambda rows: ledger._upkeep._tidy_at_s > clock.monotonic_s())
    assert any(row.unsettled for row in await ledger.recent(10))
    clock.advance(TIDY_S + 1)
    rows = await shown(ledger, lambda rows: not any(row.unsettled for row in rows))
    lost = next(row for row in rows if row.request_id == "req_lost")
    assert (lost.error, lost.estimated, lost.cost_microusd) == ("unsettled", True, 999)


async def test_a_start_finds_what_a_dead_process_held(tmp_path, clock):
    dead(tmp_path, attempt("lost"))
    async with opened(tmp_path, clock) as ledger:
        assert [row.unsettled for row in await ledger.recent(10)] == [True]
        assert ledger.counters.rows_unsettled == 1
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_true_row_replaces_an_unsettled_one_in_rows_and_sums(ledger):
    ledger.record_unsettled(attempt(1, cost_microusd=1_000_000))
    assert await ledger.spent("key", "abcdefghij", 0.0, 2e9) == 1_000_000
    ledger.record(usage_row(1, at=NOW_S))
    assert await ledger.spent("key", "abcdefghij", 0.0, 2e9) == 250
    ledger.record_unsettled(attempt(1, cost_microusd=1_000_000))
    assert await ledger.spent("key", "abcdefghij", 0.0, 2e9) == 250
    assert await ledger.recent(10) == [usage_row(1, at=NOW_S)]


async def test_attempts_under_way_at_the_end_are_written_down(tmp_path, clock):
    async with opened(tmp_path, clock) as ledger:
        ledger.hold(attempt("cut off"))
        ledger.release(ledger.hold(attempt("over")))
    assert list((tmp_path / "journal").iterdir()) == []
    async with opened(tmp_path, clock) as ledger:
        assert [row.request_id for row in await ledger.recent(10)] == ["req_cut off"]


async def test_attempts_beyond_the_bound_are_counted(ledger):
    for n in range(SLOTS_MAX):
        ledger.hold(attempt(n))
    assert ledger.counters.holds_missed == 0
    assert ledger.hold(attempt("more")) == -1
    assert ledger.counters.holds_missed == 1


async def test_what_was_spent_is_known_by_scope_and_window(ledger):
    rows = [
        usage_row(1, at=NOW_S, user_id="anna", team_id="core"),
        usage_row(2, at=TODAY_S - 1.0, user_id="anna", team_id="core", cost_microusd=30),
        usage_row(3, at=NOW_S, model="slow", cost_microusd=None, user_id="anna"),
        usage_row(4, at=NOW_S, key_id="another000", team_id="core", cost_microusd=7),
    ]
    for row in rows:
        ledger.record(row)
    today = (TODAY_S, TODAY_S + DAY_S)
    assert await ledger.spent("key", "abcdefghij", *today) == 250
    assert await ledger.spent("user", "anna", *today) == 250
    assert await ledger.spent("user", "anna", 0.0, TODAY_S + DAY_S) == 280
    assert await ledger.spent("team", "core", *today) == 257
    assert await ledger.spent("team", "core", TODAY_S - DAY_S, TODAY_S) == 30
    assert await ledger.spent("model", "slow", *today) == 0
    assert await ledger.spent("model", "nobody's", 0.0, float("inf")) == 0


async def test_totals_of_days_survive_the_end_of_their_rows(ledger):
    for n in range(100):
        ledger.record(usage_row(n, at=NOW_S - n * DAY_S))
    await ledger.flushed()
    everything = Query(0.0, 2e9)
    before = await ledger.reports.usage(everything)
    assert await ledger.retain(days=30) == 69  # the day in which the limit falls is kept whole
    assert await ledger.reports.usage(everything) == before
    assert len(await ledger.reports.usage(Query(0.0, 2e9, by=("minute",)))) == 31
    assert await ledger.spent("key", "abcdefghij", 0.0, 2e9) == 25_000


async def test_a_row_that_may_have_been_counted_and_deleted_is_put_aside(ledger, tmp_path):
    ledger.record(usage_row(1, at=NOW_S - 40 * DAY_S))
    await ledger.flushed()
    await ledger.retain(days=30)
    ledger.record(usage_row(1, at=NOW_S - 40 * DAY_S))
    assert await ledger.spent("key", "abcdefghij", 0.0, 2e9) == 250
    assert ledger.counters.rows_rejected == 1
    assert b'"req_1"' in (tmp_path / "journal" / "rejected.txt").read_bytes()


async def test_the_present_day_is_never_deleted(ledger):
    ledger.record(usage_row(1, at=NOW_S))
    assert await ledger.delete_before(NOW_S + 99 * DAY_S) == 0


async def test_reports_are_made_of_what_is_committed(ledger):
    ledger.record(usage_row(1, at=NOW_S))
    await ledger.flushed()
    assert (await ledger.reports.summary(NOW_S - 60, NOW_S + 60)).requests == 1
    assert await ledger.reports.request("req_1") == [usage_row(1, at=NOW_S)]
    assert (await ledger.reports.requests(Wanted(Sieve(), 5))).rows == await ledger.recent(5)


async def test_what_a_dead_process_ran_can_be_claimed_by_a_living_one(tmp_path, clock, ledger):
    wanted = ("key", "once", "f", "req_1", NOW_S + 600)
    other = Claims(ledger._write, dead(tmp_path), clock)
    assert await other.claim(*wanted) == New()
    assert await ledger.claims.claim(*wanted) == Running(1.0)
    clock.advance(TIDY_S)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await ledger.claims.claim(*wanted) == New():
                return
            await asyncio.sleep(0.01)


async def test_what_a_process_runs_at_its_end_can_be_claimed(tmp_path, clock, ledger):
    done = Done(200, (), b"answer")
    async with opened(tmp_path, clock) as other:
        await other.claims.claim("key", "once", "f", "req_1", NOW_S + 600)
        await other.claims.claim("key", "twice", "f", "req_2", NOW_S + 600)
        await other.claims.finish_claim("key", "twice", "req_2", done, DAY_S)
    assert await ledger.claims.claim("key", "once", "f", "req_3", NOW_S + 600) == New()
    assert await ledger.claims.claim("key", "twice", "f", "req_3", NOW_S + 600) == done


async def test_expired_answers_are_deleted_by_themselves(tmp_path, clock, ledger):
    await ledger.claims.claim("key", "once", "f", "req_1", NOW_S + 1)
    clock.advance(TIDY_S)

    def count():
        with closing(sqlite3.connect(tmp_path / "gatemill.db")) as database:
            return database.execute("SELECT count(*) FROM idempotency").fetchone()[0]

    await until(lambda: not count(), "nothing is left")


async def test_a_failing_look_around_is_counted_and_tried_again(tmp_path, clock, ledger):
    def rename(old, new):
        with closing(sqlite3.connect(tmp_path / "gatemill.db")) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("idempotency", "gone")
    clock.advance(TIDY_S)
    await until(lambda: ledger.counters.tidy_errors, "the fault was met")
    rename("gone", "idempotency")
    clock.advance(TIDY_S)
    await until(lambda: ledger._upkeep.tidying.holds, "it was tried again")
