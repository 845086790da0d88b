import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from crews import until
from gatemill.core.clock import FakeClock
from gatemill.core.errors import InvalidValue, LedgerUnavailable, NotFound, Overloaded
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.queries import literal
from gatemill.ledger.reader import READS_MAX
from usage_rows import usage_row

NOW_S = 1_763_700_000.0
DAY_S = 86_400.0


@asynccontextmanager
async def opened(folder, place, **options):
    ledger = Ledger.open(folder, place.address, FakeClock(NOW_S), **options)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def ledger(tmp_path, place):
    async with opened(tmp_path, place) as found:
        yield found


def run_sql(place, text):
    def run():
        other = place.open(writes=True)
        other.run(literal("test", text))
        other.close()

    # A loop runs in this thread, and the Postgres driver brings its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()


async def test_recorded_rows_are_in_the_database_when_flushed_returns(ledger):
    rows = [usage_row(n, at=float(n)) for n in range(2_000)]
    for row in rows:
        ledger.record(row)
    await ledger.flushed()
    assert await ledger.recent(3) == rows[:-4:-1]
    assert (await ledger.totals(0.0, NOW_S))[0].attempts == 2_000
    assert (ledger.counters.rows_recorded, ledger.counters.rows_written) == (2_000, 2_000)
    assert ledger.counters.rows_pending == 0


async def test_rows_reach_the_database_without_anybody_asking(ledger):
    ledger.record(usage_row(1))
    await until(lambda: not ledger.counters.rows_pending, "the row is written")
    assert await ledger.recent(1) == [usage_row(1)]


async def test_rows_recorded_together_share_a_commit(ledger):
    for n in range(100):
        ledger.record(usage_row(n))
    await ledger.flushed()
    assert ledger.counters.commits <= 2
    assert ledger.counters.commit_seconds > 0


async def test_closing_writes_what_is_pending_and_leaves_no_journal(tmp_path, place):
    async with opened(tmp_path, place) as ledger:
        for n in range(1_000):
            ledger.record(usage_row(n))
    assert list((tmp_path / "journal").iterdir()) == []
    async with opened(tmp_path, place) as ledger:
        assert (await ledger.totals(0.0, 2e9))[0].attempts == 1_000
        assert ledger.counters.rows_recovered == 0


async def test_closing_twice_is_closing_once(tmp_path, place):
    async with opened(tmp_path, place) as ledger:
        await ledger.close()
    assert not ledger.healthy()


async def test_a_new_key_is_known_when_its_maker_hears_of_it(ledger):
    new = await ledger.create_key("anna", ["fast"], admin=True, expires_s=NOW_S + 9)
    assert ledger.keys.identify(new.secret.encode()) == new.key
    assert ledger.identify(new.secret.encode()) == new.key
    assert (new.key.models, new.key.admin, new.key.expires_s) == (("fast",), True, NOW_S + 9)


async def test_a_revoked_key_is_known_as_such_at_once(ledger):
    new = await ledger.create_key("anna")
    await ledger.revoke_key(new.key.id)
    assert ledger.keys.identify(new.secret.encode()).revoked_s == NOW_S


async def test_a_rotated_key_leaves_two_that_work(ledger):
    old = await ledger.create_key("anna")
    new = await ledger.rotate_key(old.key.id, grace_s=60.0)
    assert ledger.keys.identify(old.secret.encode()).revoked_s == NOW_S + 60
    assert ledger.keys.identify(new.secret.encode()).revoked_s is None
    assert {row.key.id for row in await ledger.list_keys(10)} == {old.key.id, new.key.id}


async def test_a_table_in_use_does_not_change(ledger):
    before = ledger.keys
    await ledger.create_key("anna")
    assert len(before) == 0
    assert len(ledger.keys) == 1


async def test_keys_outlive_the_process(tmp_path, place):
    async with opened(tmp_path, place) as ledger:
        new = await ledger.create_key("anna")
    async with opened(tmp_path, place) as ledger:
        assert ledger.keys.identify(new.secret.encode()) == new.key


async def test_mistakes_reach_the_caller_and_the_ledger_goes_on(ledger):
    with pytest.raises(InvalidValue):
        await ledger.create_key("")
    with pytest.raises(NotFound):
        await ledger.revoke_key("nobody0000")
    await ledger.create_key("anna")
    assert ledger.healthy()


async def test_a_given_pepper_leaves_no_file_and_is_asked_for_again(tmp_path, place):
    async with opened(tmp_path, place, pepper=b"p" * 32) as ledger:
        new = await ledger.create_key("anna")
    assert not (tmp_path / "pepper").exists()
    with pytest.raises(LedgerUnavailable, match="pepper"):
        Ledger.open(tmp_path, place.address, FakeClock(NOW_S))
    async with opened(tmp_path, place, pepper=b"p" * 32) as ledger:
        assert ledger.keys.identify(new.secret.encode()) == new.key


async def test_old_rows_are_deleted_and_young_ones_stay(ledger):
    for n in range(6_000):
        ledger.record(usage_row(n, at=NOW_S - (40 * DAY_S if n else 20 * DAY_S)))
    await ledger.flushed()
    assert await ledger.retain(days=30) == 5_999
    assert [row.request_id for row in await ledger.recent(10)] == ["req_0"]


async def test_a_row_the_database_cannot_hold_is_put_aside(ledger, tmp_path):
    ledger.record(usage_row("bad", input_tokens=2**63))
    ledger.record(usage_row("good"))
    await ledger.flushed()
    assert [row.request_id for row in await ledger.recent(10)] == ["req_good"]
    assert ledger.counters.rows_rejected == 1
    assert b'"req_bad"' in (tmp_path / "journal" / "rejected.txt").read_bytes()
    assert ledger.healthy()


async def test_a_database_that_fails_costs_no_row_and_is_said(ledger, place):
    run_sql(place, "ALTER TABLE usage RENAME TO gone")
    ledger.record(usage_row(1))
    with pytest.raises(LedgerUnavailable, match="journal"):
        await ledger.flushed()
    assert not ledger.healthy()
    assert (ledger.counters.commit_errors, ledger.counters.rows_pending) == (1, 1)
    run_sql(place, "ALTER TABLE gone RENAME TO usage")
    ledger.record(usage_row(2))
    await ledger.flushed()
    assert ledger.healthy()
    assert {row.request_id for row in await ledger.recent(10)} == {"req_1", "req_2"}


async def test_keys_stay_known_while_the_database_cannot_be_read(ledger, place):
    new = await ledger.create_key("anna")
    run_sql(place, "ALTER TABLE keys_version RENAME TO gone")
    await until(lambda: not ledger.healthy(), "the fault was met")
    assert ledger.keys.identify(new.secret.encode()) == new.key
    assert ledger.counters.poll_errors >= 1
    run_sql(place, "ALTER TABLE gone RENAME TO keys_version")
    await until(ledger.healthy, "it is well again")


async def test_rows_of_a_failing_database_wait_for_the_next_process(tmp_path, place):
    async with opened(tmp_path, place) as ledger:
        run_sql(place, "ALTER TABLE usage RENAME TO gone")
        ledger.record(usage_row(1))
    run_sql(place, "ALTER TABLE gone RENAME TO usage")
    async with opened(tmp_path, place) as ledger:
        assert [row.request_id for row in await ledger.recent(10)] == ["req_1"]
        assert ledger.counters.rows_recovered == 1


async def test_reports_beyond_the_limit_are_refused_and_the_others_made(ledger):
    reports = [ledger.recent(1) for _ in range(READS_MAX + 3)]
    answers = await asyncio.gather(*reports, return_exceptions=True)
    assert [type(answer) for answer in answers[READS_MAX:]] == [Overloaded] * 3
    assert answers[:READS_MAX] == [[]] * READS_MAX


async def test_a_data_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerUnavailable, match="file/data cannot be used"):
        Ledger.open(tmp_path / "file" / "data", None, FakeClock())


async def test_the_ledger_may_lie_outside_the_data_directory(tmp_path):
    url = f"sqlite:///{tmp_path}/elsewhere/ledger.db"
    ledger = Ledger.open(tmp_path / "data", url, FakeClock())
    await ledger.close()
    assert (tmp_path / "elsewhere" / "ledger.db").exists()
