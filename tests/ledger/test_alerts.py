import asyncio

import msgspec
import pytest

from gatemill.ledger import alerts
from gatemill.ledger.alerts import LEASE_S, Alert, Alerts
from writing import writing

NOW_S = 1_763_700_000.0
ALERT = Alert(
    scope="team",
    scope_id="core",
    period="month",
    window_start_s=1_761_955_200.0,
    share=0.8,
    limit_microusd=50_000_000,
    spent_microusd=40_000_001,
    created_s=NOW_S,
)


@pytest.fixture
async def write(place):
    async with writing(place) as found:
        yield found


@pytest.fixture
def outbox(write):
    return Alerts(write)


def changed(**fields):
    return msgspec.structs.replace(ALERT, **fields)


async def test_a_crossing_is_noted_once(outbox):
    assert await outbox.add_alert(ALERT)
    assert not await outbox.add_alert(changed(spent_microusd=45_000_000, created_s=NOW_S + 1))
    assert await outbox.add_alert(changed(share=1.0))
    assert await outbox.add_alert(changed(window_start_s=NOW_S))
    assert await outbox.add_alert(changed(scope_id="web"))


async def test_a_due_alert_is_given_to_one_at_a_time(outbox):
    await outbox.add_alert(ALERT)
    assert await outbox.due_alerts(NOW_S - 1, 10) == []
    assert await outbox.due_alerts(NOW_S, 10) == [changed(tries=1, next_s=NOW_S + LEASE_S)]
    assert await outbox.due_alerts(NOW_S + LEASE_S - 1, 10) == []
    assert [each.tries for each in await outbox.due_alerts(NOW_S + LEASE_S, 10)] == [2]


async def test_a_delivered_alert_is_never_due_nor_noted_again(outbox):
    await outbox.add_alert(ALERT)
    (due,) = await outbox.due_alerts(NOW_S, 10)
    await outbox.alert_delivered(due, NOW_S + 1)
    assert await outbox.due_alerts(NOW_S + 10 * LEASE_S, 10) == []
    assert not await outbox.add_alert(ALERT)


async def test_a_failed_alert_is_due_when_it_was_said_to_be(outbox):
    await outbox.add_alert(ALERT)
    (due,) = await outbox.due_alerts(NOW_S, 10)
    await outbox.alert_failed(due, NOW_S + 500)
    assert await outbox.due_alerts(NOW_S + 499, 10) == []
    assert len(await outbox.due_alerts(NOW_S + 500, 10)) == 1


async def test_no_more_are_given_out_than_asked_for(outbox):
    for n in range(5):
        await outbox.add_alert(changed(scope_id=f"{n}", created_s=NOW_S - n))
    first = await outbox.due_alerts(NOW_S, 3)
    assert {each.scope_id for each in first} == {"4", "3", "2"}  # the oldest
    assert len(await outbox.due_alerts(NOW_S, 3)) == 2


async def test_old_ones_go_when_they_were_delivered_and_can_come_again(outbox, write):
    old = [
        ALERT,
        changed(scope_id="total", period="total", window_start_s=0.0),
        changed(scope_id="stuck"),
    ]
    for each in old:
        await outbox.add_alert(each)
    for each in old[:2]:
        await outbox.alert_delivered(each, NOW_S)
    assert await write(lambda db: alerts.delete_before(db, NOW_S)) == 0
    assert await write(lambda db: alerts.delete_before(db, NOW_S + 1)) == 1
    assert await outbox.add_alert(ALERT)
    assert not await outbox.add_alert(old[1])
    assert not await outbox.add_alert(old[2])


async def test_two_processes_do_not_take_the_same_alert(place, outbox):
    for n in range(50):
        await outbox.add_alert(changed(scope_id=f"{n}"))
    async with writing(place) as write:
        others = Alerts(write)
        taken = await asyncio.gather(
            *(each.due_alerts(NOW_S, 5) for _ in range(10) for each in (outbox, others))
        )
    ids = [alert.scope_id for some in taken for alert in some]
    assert sorted(ids) == sorted(f"{n}" for n in range(50))
