from __future__ import annotations

import asyncio
import math

import pytest

from gatemill.core.clock import FakeClock
from gatemill.ledger import incidents
from gatemill.ledger.alerts import Alert, Alerts
from gatemill.ledger.incidents import CLOSED, LEASE_S, NEVER_S, OPENED, Incidents
from gatemill.ledger.reader import Reader
from gatemill.policy.incidents import Finding
from writing import writing

QUIET_S = 120.0


def found(name: str = "BreakerOpen", subject: str = "p/m", value: float = 1.0) -> Finding:
    return Finding(name, subject, "warning", value, 1.0, for_s=60.0)


class Desk:
    """What one process has: its clock and its ledger."""

    def __init__(self, place, write, **bounds: int) -> None:
        self.clock = FakeClock()
        self.reader = Reader(place)
        self.ledger = Incidents(self.reader, write, self.clock, **bounds)

    async def seen(self, *findings: Finding, quiet_s: float = QUIET_S, tells: bool = True):
        return await self.ledger.seen(findings, quiet_s, tells=tells)

    async def due(self) -> list[str]:
        """Gives out what is due: its events and subjects."""
        notices = await self.ledger.due_notices(self.clock.unix_s(), 10)
        return [f"{notice.event} {notice.incident.subject}" for notice in notices]


@pytest.fixture
async def desk(place):
    async with writing(place) as write:
        made = Desk(place, write)
        yield made
        await made.reader.close()


async def test_an_incident_opens_once_and_closes_once(desk):
    (opened,) = (await desk.seen(found())).opened
    assert (opened.name, opened.subject, opened.closed_s) == ("BreakerOpen", "p/m", None)
    assert opened.since_s == opened.opened_s - 60.0
    desk.clock.advance(100)
    again = await desk.seen(found(value=2.0))
    assert (again.opened, again.closed) == ((), ())
    desk.clock.advance(QUIET_S)
    assert (await desk.seen()).closed == ()  # it was seen 120 s ago, no longer than that
    desk.clock.advance(1)
    (closed,) = (await desk.seen()).closed
    assert (closed.id, closed.value) == (opened.id, 2.0)
    assert closed.closed_s == desk.clock.unix_s()
    assert (await desk.seen()).closed == ()
    assert [one.id for one in (await desk.seen(found())).opened] != [opened.id]


async def test_subjects_and_rules_have_incidents_of_their_own(desk):
    some = (found(), found(subject="p/n"), found("DlqGrowing", ""))
    assert len((await desk.seen(*some)).opened) == 3
    vitals = await desk.ledger.vitals()
    assert vitals.open == {"BreakerOpen": 2, "DlqGrowing": 1}


async def test_what_another_process_sees_stays_open(place, desk):
    async with writing(place) as write:
        other = Desk(place, write)
        await desk.seen(found())
        assert (await other.seen(found())).opened == ()
        for each in (desk, other):
            each.clock.advance(QUIET_S)
        await other.seen(found())
        desk.clock.advance(1)
        assert (await desk.seen()).closed == ()
        await other.reader.close()


async def test_whoever_has_just_begun_closes_nothing(desk):
    await desk.seen(found())
    desk.clock.advance(10 * QUIET_S)
    assert (await desk.seen(quiet_s=math.inf)).closed == ()
    assert len((await desk.seen()).closed) == 1


async def test_of_many_at_once_one_opens_and_one_closes(place, desk):
    async with writing(place) as write:
        other = Desk(place, write)
        rounds = await asyncio.gather(
            *(each.seen(found()) for _ in range(10) for each in (desk, other))
        )
        assert sum(len(each.opened) for each in rounds) == 1
        for each in (desk, other):
            each.clock.advance(QUIET_S + 1)
        rounds = await asyncio.gather(*(each.seen() for _ in range(10) for each in (desk, other)))
        assert sum(len(each.closed) for each in rounds) == 1
        assert await desk.due() == ["alert.opened p/m"]
        await other.reader.close()


async def test_the_end_is_told_after_the_beginning(desk):
    await desk.seen(found())
    desk.clock.advance(QUIET_S + 1)
    await desk.seen()
    (opened,) = await desk.ledger.due_notices(desk.clock.unix_s(), 10)
    assert (opened.event, opened.tries) == (OPENED, 1)
    assert await desk.due() == []  # it is under way
    await desk.ledger.notice_failed(opened, desk.clock.unix_s() + 5)
    assert await desk.due() == []
    desk.clock.advance(5)
    (opened,) = await desk.ledger.due_notices(desk.clock.unix_s(), 10)
    assert opened.tries == 2
    await desk.ledger.notice_delivered(opened, desk.clock.unix_s())
    (closed,) = await desk.ledger.due_notices(desk.clock.unix_s(), 10)
    assert (closed.event, closed.incident.closed_s) == (CLOSED, desk.clock.unix_s() - 5)
    await desk.ledger.notice_delivered(closed, desk.clock.unix_s())
    desk.clock.advance(10 * LEASE_S)
    assert await desk.due() == []


async def test_the_end_is_told_when_the_beginning_was_given_up(desk):
    await desk.seen(found())
    (opened,) = await desk.ledger.due_notices(desk.clock.unix_s(), 10)
    await desk.ledger.notice_failed(opened, NEVER_S)
    desk.clock.advance(QUIET_S + 1)
    await desk.seen()
    assert await desk.due() == ["alert.closed p/m"]


async def test_who_died_with_a_message_is_succeeded(desk):
    await desk.seen(found())
    assert await desk.due() == ["alert.opened p/m"]
    desk.clock.advance(LEASE_S)
    assert await desk.due() == ["alert.opened p/m"]


async def test_where_nobody_is_to_be_told_nothing_waits(desk):
    await desk.seen(found(), tells=False)
    assert await desk.due() == []
    desk.clock.advance(QUIET_S + 1)
    await desk.seen()  # with a webhook by now
    assert await desk.due() == []  # who was not told of it need not be reassured


async def test_the_outbox_has_a_maximum(place):
    async with writing(place) as write:
        desk = Desk(place, write, waiting_max=3)
        seen = await desk.seen(*(found(subject=f"{n}") for n in range(5)))
        assert (len(seen.opened), seen.refused) == (5, 2)
        assert len(await desk.due()) == 3
        await desk.reader.close()


async def test_incidents_are_listed_by_page(desk):
    for n in range(5):
        await desk.seen(found(subject=f"{n}"), quiet_s=15.0)
        desk.clock.advance(10)
    listed = await desk.ledger.listed(2)
    assert [one.subject for one in listed] == ["4", "3"]
    listed = await desk.ledger.listed(10, before=listed[-1].id)
    assert [one.subject for one in listed] == ["2", "1", "0"]
    assert [one.subject for one in await desk.ledger.listed(10, "open")] == ["4", "3"]
    assert len(await desk.ledger.listed(10, "closed")) == 3
    assert await desk.ledger.listed(10, name="DlqGrowing") == []


async def test_old_ones_are_deleted_once_they_are_over(place, desk):
    await desk.seen(found(), found(subject="q/m"))
    desk.clock.advance(QUIET_S + 1)
    await desk.seen(found(subject="q/m"))
    now_s = desk.clock.unix_s() + 1
    async with writing(place) as write:
        await write(lambda database: incidents.delete_before(database, now_s))
    assert [one.subject for one in await desk.ledger.listed(10)] == ["q/m"]
    assert await desk.due() == []


async def test_budgets_of_the_present_window_are_counted(place, desk):
    now_s = desk.clock.unix_s()
    day_s = now_s - now_s % 86_400

    def alert(scope_id: str, share: float, start_s: float = day_s, period: str = "day") -> Alert:
        return Alert("key", scope_id, period, start_s, share, 5, 4, now_s)

    async with writing(place) as write:
        outbox = Alerts(write)
        for one in (
            alert("k1", 0.8),
            alert("k2", 0.8),
            alert("k2", 1.0),
            alert("k3", 1.0, day_s - 86_400),
            alert("k4", 0.5, 0.0, "total"),
        ):
            assert await outbox.add_alert(one)
    vitals = await desk.ledger.vitals()
    assert vitals.budgets == {("key", "warned"): 2, ("key", "spent"): 1}
    assert (vitals.dead_letters, vitals.workers) == (0, 0)
