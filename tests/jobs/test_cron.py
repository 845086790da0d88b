"""Jobs by the clock, in virtual time: each slot once, the latest missed one made up for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from crews import PLAY, Site, working
from gatemill.core.clock import FakeClock
from gatemill.core.errors import InvalidValue
from gatemill.jobs.cron import Cron, latest_slot_s, plan
from gatemill.ledger.jobs.rows import Filter

HOUR_S = 3600.0
NOON_S = datetime(2026, 6, 1, 12, 0, tzinfo=UTC).timestamp()
SCHEDULE = """
[jobs.schedules.report]
cron = "30 * * * *"
kind = "play"
key = "{}"
args = {{ act = "sleep" }}
priority = "low"
"""


def made(cron: str, timezone: str = "UTC") -> Any:
    said = {"cron": cron, "timezone": timezone, "kind": "k", "key": "x", "args": {}}
    return plan("x", said | {"priority": "low"})


async def slots_of(site: Site) -> list[str]:
    found = await site.services.ledger.jobs.listed(Filter(), 100)
    return sorted(job.unique_key for job in found)


def key_of(*hours: float) -> list[str]:
    return sorted(f"cron:report:{int(NOON_S + hour * HOUR_S)}" for hour in hours)


async def with_schedule(tmp_path: Path, clock: FakeClock) -> str:
    async with working(tmp_path, PLAY, clock=clock, starts=False) as site:
        new = await site.services.ledger.create_key("reports")
        return PLAY + SCHEDULE.format(new.key.id)


async def test_each_slot_has_one_job_however_many_tick(tmp_path: Path):
    clock = FakeClock(NOON_S)
    config = await with_schedule(tmp_path, clock)
    async with working(tmp_path, config, clock=clock, starts=False) as site:
        crons = [Cron(clock.unix_s()) for _ in range(3)]
        for _ in range(3 * 60):
            for cron in crons:
                await cron.tick(site.services)
            clock.advance(60.0)
        assert await slots_of(site) == key_of(-0.5, 0.5, 1.5, 2.5)
        (job,) = await site.services.ledger.jobs.listed(Filter(), 1)
        assert (job.kind, job.priority, job.owner[:4]) == ("play", 2, "key:")


async def test_of_the_slots_that_were_missed_the_latest_is_made_up_for(tmp_path: Path):
    clock = FakeClock(NOON_S)
    config = await with_schedule(tmp_path, clock)
    async with working(tmp_path, config, clock=clock, starts=False) as site:
        cron = Cron(clock.unix_s() - 7200)
        clock.advance(5 * HOUR_S + 120)  # the machine slept
        assert await cron.tick(site.services) == 1
        assert await slots_of(site) == key_of(4.5)


async def test_what_passed_long_before_the_start_is_left_out(tmp_path: Path):
    clock = FakeClock(NOON_S)
    config = (await with_schedule(tmp_path, clock)).replace("30 *", "0 6")
    async with working(tmp_path, config, clock=clock, starts=False) as site:
        cron = Cron(clock.unix_s())
        assert await cron.tick(site.services) == 0
        clock.advance(18 * HOUR_S)
        assert await cron.tick(site.services) == 1


async def test_a_clock_that_was_a_year_ahead_and_is_set_right_makes_no_schedule_wait(
    tmp_path: Path,
):
    clock = FakeClock(NOON_S)
    config = await with_schedule(tmp_path, clock)
    async with working(tmp_path, config, clock=clock, starts=False) as site:
        cron = Cron(clock.unix_s())
        assert await cron.tick(site.services) == 1
        clock.set(8760 * HOUR_S)
        assert await cron.tick(site.services) == 1
        clock.set(-8760 * HOUR_S)
        assert await cron.tick(site.services) == 0
        clock.advance(HOUR_S)
        assert await cron.tick(site.services) == 1
        clock.set(-HOUR_S)
        clock.advance(HOUR_S)
        assert await cron.tick(site.services) == 0
        assert await slots_of(site) == key_of(-0.5, 0.5, 8759.5)


async def test_a_schedule_whose_key_has_ended_makes_nothing(tmp_path: Path):
    clock = FakeClock(NOON_S)
    config = await with_schedule(tmp_path, clock)
    async with working(tmp_path, config, clock=clock, starts=False) as site:
        ledger = site.services.ledger
        (listed,) = [one for one in await ledger.list_keys(10) if one.key.name == "reports"]
        await ledger.revoke_key(listed.key.id)
        clock.advance(1.0)
        cron = Cron(clock.unix_s())
        assert await cron.tick(site.services) == 0
        assert await cron.tick(site.services) == 0
        assert await slots_of(site) == []


@pytest.mark.parametrize("cron", ["* * * *", "61 * * * *", "* * * * * *", "", "@daily"])
def test_what_is_no_five_fields_of_cron_is_refused(cron: str):
    with pytest.raises(InvalidValue, match="five fields") as caught:
        made(cron)
    assert caught.value.param == "jobs.schedules.x.cron"


@pytest.mark.parametrize("zone", ["Europe/Berlinn", "", "../etc/passwd"])
def test_an_unknown_time_zone_is_refused(zone: str):
    with pytest.raises(InvalidValue, match="time zone") as caught:
        made("* * * * *", zone)
    assert caught.value.param == "jobs.schedules.x.timezone"


@given(
    st.sampled_from(["30 2 * * *", "0 * * * *", "*/15 2 * * *", "0 3 * * 0", "59 23 * * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]),
    # Around the days on which clocks change.
    st.sampled_from(
        [datetime(2026, *day, tzinfo=UTC) for day in ((3, 8), (3, 29), (10, 25), (11, 1))]
    ),
    st.integers(-86_400, 2 * 86_400),
)
def test_the_latest_slot_is_the_last_of_those_the_clock_goes_through(cron, zone, day, off_s):
    at = day + timedelta(seconds=off_s)
    expected = None
    for slot in CronSim(cron, (at - timedelta(days=9)).astimezone(ZoneInfo(zone))):
        if slot > at:
            break
        expected = slot
    assert expected is not None
    assert latest_slot_s(made(cron, zone), at.timestamp()) == expected.timestamp()
