"""The wall clock is set by an hour, forth or back: keys, jobs, retention and what is unsettled."""

from __future__ import annotations

import pytest

from gatemill.core.clock import FakeClock
from gatemill.ledger import rollups
from gatemill.ledger.place import Place
from gatemill.ledger.upkeep import SETTLE_AFTER_S
from ledger_jobs import GOOD, NOW_S, claimed, new_job, opened, submitted
from usage_rows import usage_row

HOUR_S = 3600.0


@pytest.fixture
async def ledger(tmp_path):
    clock = FakeClock(NOW_S)
    async with opened(tmp_path, Place(path=tmp_path / "gatemill.db"), clock) as found:
        yield found, clock


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_a_running_job_ends_once_and_waiting_ones_run(ledger, jump_s):
    ledger, clock = ledger
    await submitted(ledger, new_job(1), new_job(2))
    one = await claimed(ledger)
    clock.set(jump_s)
    assert await ledger.jobs.reap() == []  # its worker's lease is long
    assert await ledger.jobs.finish(one, GOOD)
    assert not await ledger.jobs.finish(one, GOOD)
    other = await claimed(ledger)
    assert other.job.id == "job_0002"
    assert await ledger.jobs.finish(other, GOOD)


async def test_a_worker_that_a_jump_takes_for_dead_is_fenced_and_its_job_has_one_result(ledger):
    ledger, clock = ledger
    await submitted(ledger, new_job(1))
    one = await claimed(ledger)
    clock.set(2e9)  # beyond any lease
    assert len(await ledger.jobs.reap()) == 1
    assert not await ledger.jobs.finish(one, GOOD)


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_a_job_for_later_comes_by_the_clock_as_it_is_now(ledger, jump_s):
    ledger, clock = ledger
    await submitted(ledger, new_job(1, run_at=NOW_S + 600))
    clock.set(jump_s)
    assert (await claimed(ledger) is not None) == (jump_s > 0)
    clock.advance(HOUR_S + 601)
    assert (await claimed(ledger) is not None) == (jump_s < 0)


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_what_is_spent_stays_spent_and_nothing_young_is_deleted(ledger, jump_s):
    ledger, clock = ledger
    key = await ledger.create_key("a", expires_s=NOW_S + 2 * HOUR_S)
    for number in range(3):
        ledger.record(usage_row(number, at=clock.unix_s(), key_id=key.key.id, cost_microusd=7))
        clock.set(jump_s / 2)
    day_s = rollups.midnight_s(NOW_S)
    assert (
        await ledger.spent("key", key.key.id, day_s - rollups.DAY_S, day_s + 2 * rollups.DAY_S)
        == 21
    )
    assert await ledger.retain(1) == 0
    assert len(await ledger.recent(9)) == 3
    assert ledger.identify(key.secret.encode()).expires_s == NOW_S + 2 * HOUR_S


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_an_unsettled_attempt_is_settled_once_whatever_the_clock_does(ledger, jump_s):
    ledger, clock = ledger
    worst = usage_row("a", at=clock.unix_s(), unsettled=True, error="unsettled", cost_microusd=999)
    ledger.record_unsettled(worst)
    await ledger.flushed()
    clock.set(jump_s)
    ledger.record(usage_row("a", at=NOW_S, cost_microusd=5))
    await ledger.flushed()
    clock.advance(HOUR_S + SETTLE_AFTER_S)
    rows = await ledger.recent(9)
    assert [row.attempt_id for row in rows] == ["req_a-1"]
