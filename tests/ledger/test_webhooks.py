"""Endpoints, their secrets, and the log of what was sent."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.job import Succeeded
from gatemill.ledger import transfer
from gatemill.ledger.webhooks import (
    OVERLAP_S,
    REASON_GIVEN_UP,
    REASON_OWNER,
    SEEDS_MAX,
    Secrets,
    Try,
    Wanted,
)
from gatemill.wire.webhook import key_of
from ledger_jobs import BAD, GOOD, NOW_S, OWNER, claimed, ended, new_job, opened

URL = "https://example.com/hook"


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def ledger(tmp_path, place, clock):
    async with opened(tmp_path, place, clock) as found:
        yield found


@pytest.fixture
def webhooks(ledger):
    return ledger.webhooks


async def create(webhooks, owner=OWNER, url=URL, events=("*",)):
    return await webhooks.create(owner, url, events, "", 10)


async def test_an_endpoint_is_what_was_asked_for(webhooks):
    made, secret = await webhooks.create(OWNER, URL, ("job.*", "batch.failed"), "for a test", 10)
    assert made.id.startswith("we_")
    assert (made.owner, made.url, made.description) == (OWNER, URL, "for a test")
    assert made.events == ("job.*", "batch.failed")
    assert (made.given_up, made.disabled_at, made.disabled_reason) == (0, None, "")
    assert made.created_at == NOW_S
    assert made.older_until is None
    assert len(key_of(secret)) == 32
    assert await webhooks.get(made.id, OWNER) == made
    assert await webhooks.get(made.id, "") == made


async def test_endpoints_are_listed_by_pages_and_by_owner(webhooks):
    mine = [(await create(webhooks))[0].id for _ in range(5)]
    other, _ = await create(webhooks, "team:b")
    first = await webhooks.listed(OWNER, 3)
    rest = await webhooks.listed(OWNER, 3, first[-1].id)
    assert sorted(one.id for one in [*first, *rest]) == sorted(mine)
    assert len(first) == 3
    assert {one.id for one in await webhooks.listed("", 100)} == {*mine, other.id}


async def test_an_owner_has_so_many_endpoints_and_no_more(webhooks):
    for _ in range(2):
        await webhooks.create(OWNER, URL, ("*",), "", 2)
    with pytest.raises(InvalidValue, match="2 endpoints"):
        await webhooks.create(OWNER, URL, ("*",), "", 2)
    await webhooks.create("team:b", URL, ("*",), "", 2)


async def test_what_is_somebody_elses_is_unknown(webhooks):
    made, _ = await create(webhooks)
    for call in (
        webhooks.get(made.id, "team:b"),
        webhooks.update(made.id, "team:b", {"url": "https://evil.example"}),
        webhooks.delete(made.id, "team:b"),
        webhooks.rotate(made.id, "team:b"),
        webhooks.recipient("team:b", made.id),
        webhooks.delivery("wh_0", "team:b"),
    ):
        with pytest.raises(NotFound):
            await call
    assert await webhooks.get(made.id, OWNER) == made


async def test_an_endpoint_is_changed_disabled_enabled_and_deleted(webhooks, clock):
    made, _ = await create(webhooks)
    changes = {"url": "https://example.com/2", "events": ("job.dead",), "description": "x"}
    found = await webhooks.update(made.id, OWNER, changes)
    assert (found.url, found.events, found.description) == tuple(changes.values())
    clock.advance(5)
    found = await webhooks.update(made.id, OWNER, {}, enabled=False)
    assert (found.disabled_at, found.disabled_reason) == (NOW_S + 5, REASON_OWNER)
    await webhooks.disable(made.id, "again")  # it stays as it was
    assert await webhooks.get(made.id, OWNER) == found
    found = await webhooks.update(made.id, OWNER, {}, enabled=True)
    assert (found.disabled_at, found.disabled_reason, found.given_up) == (None, "", 0)
    assert await webhooks.get(made.id, OWNER) == found
    await webhooks.delete(made.id, OWNER)
    with pytest.raises(NotFound):
        await webhooks.get(made.id, OWNER)


async def test_so_many_notifications_given_up_in_a_row_disable_an_endpoint(webhooks, clock):
    made, _ = await create(webhooks)
    for _ in range(2):
        await webhooks.given_up(made.id, 3)
    await webhooks.reached(made.id)
    for given_up in (1, 2):
        await webhooks.given_up(made.id, 3)
        assert (await webhooks.get(made.id, OWNER)).given_up == given_up
    clock.advance(1)
    await webhooks.given_up(made.id, 3)
    found = await webhooks.get(made.id, OWNER)
    assert (found.disabled_at, found.disabled_reason) == (NOW_S + 1, REASON_GIVEN_UP)
    clock.advance(1)
    await webhooks.given_up(made.id, 3)  # one that was on its way
    assert (await webhooks.get(made.id, OWNER)).disabled_at == NOW_S + 1


# --- Secrets -----------------------------------------------------------------------------------------


async def test_while_a_secret_is_replaced_both_sign(webhooks, clock):
    made, old = await create(webhooks)
    found, new = await webhooks.rotate(made.id, OWNER)
    assert old != new
    assert found.older_until == NOW_S + OVERLAP_S
    assert (await webhooks.recipient(OWNER, made.id)).keys == (key_of(new), key_of(old))
    clock.advance(OVERLAP_S - 1)
    assert len((await webhooks.recipient(OWNER, made.id)).keys) == 2
    clock.advance(1)
    assert (await webhooks.recipient(OWNER, made.id)).keys == (key_of(new),)
    assert (await webhooks.get(made.id, OWNER)).older_until is None


async def test_without_an_overlap_the_old_secret_ends_at_once(webhooks):
    made, _ = await create(webhooks)
    _, new = await webhooks.rotate(made.id, OWNER, 0)
    assert (await webhooks.recipient(OWNER, made.id)).keys == (key_of(new),)


async def test_a_secret_replaced_again_and_again_leaves_a_bounded_number(webhooks, clock):
    made, _ = await create(webhooks)
    secrets = []
    for _ in range(SEEDS_MAX + 3):
        clock.advance(1)
        secrets.append((await webhooks.rotate(made.id, OWNER))[1])
    keys = (await webhooks.recipient(OWNER, made.id)).keys
    assert keys == tuple(key_of(each) for each in reversed(secrets[-SEEDS_MAX:]))


async def test_a_shorter_overlap_does_not_wait_for_an_earlier_one(webhooks, clock):
    made, _ = await create(webhooks)
    await webhooks.rotate(made.id, OWNER)
    await webhooks.rotate(made.id, OWNER, 60)
    clock.advance(61)
    assert len((await webhooks.recipient(OWNER, made.id)).keys) == 1


async def test_an_owner_has_one_default_secret_made_when_it_is_needed(webhooks, clock):
    to = await webhooks.recipient(OWNER, "")
    found = await webhooks.default_secret(OWNER)
    assert found == Secrets(found.secret, None)
    assert to.keys == (key_of(found.secret),)
    assert to.url == ""
    other = await webhooks.default_secret("team:b")
    assert other.secret != found.secret
    new = await webhooks.rotate_default(OWNER)
    assert new.older_until == NOW_S + OVERLAP_S
    assert (await webhooks.recipient(OWNER, "")).keys == (
        key_of(new.secret),
        key_of(found.secret),
    )
    assert await webhooks.default_secret("team:b") == other


async def test_no_secret_is_in_the_database_or_its_export(ledger, place, tmp_path):
    _, secret = await create(ledger.webhooks)
    default = (await ledger.webhooks.default_secret(OWNER)).secret
    await ended(ledger, new_job(1, callback_url=URL), GOOD)
    await claimed(ledger, "webhooks")
    file = tmp_path / "export"

    def export() -> None:
        other = place.open(writes=True)
        with file.open("wb") as target:
            transfer.export(other, target)
        other.close()

    await asyncio.to_thread(export)
    written = file.read_bytes()
    assert b"webhook_endpoints" in written
    for each in (secret, default):
        assert each.removeprefix("whsec_").encode() not in written
        assert key_of(each) not in written
        assert key_of(each).hex().encode() not in written


async def test_another_pepper_has_other_secrets(tmp_path, place, clock):
    async with opened(tmp_path, place, clock) as ledger:
        made, secret = await create(ledger.webhooks)
        same = await ledger.webhooks.recipient(OWNER, made.id)
    async with opened(tmp_path, place, clock) as ledger:  # after a restart it is the same
        assert await ledger.webhooks.recipient(OWNER, made.id) == same
        ledger._upkeep.pepper = b"\1" * 32
        assert (await ledger.webhooks.recipient(OWNER, made.id)).keys != (key_of(secret),)


# --- The log -----------------------------------------------------------------------------------------


async def test_deliveries_are_found_by_job_endpoint_and_state(ledger, clock):
    webhooks = ledger.webhooks
    one, _ = await create(webhooks)
    other, _ = await create(webhooks, events=("job.dead",))
    await ended(ledger, new_job(1), GOOD)
    clock.advance(1)
    await ended(ledger, new_job(2), BAD)
    clock.advance(1)
    await ended(ledger, new_job(3, owner="team:b", callback_url=URL), BAD)
    assert await ledger.jobs.finish(await claimed(ledger, "webhooks"), BAD)

    async def found(**wanted):
        rows = await webhooks.deliveries(Wanted(**{"owner": OWNER, **wanted}), 100)
        return [(row.letter.subject, row.letter.endpoint) for row in rows]

    assert set(await found(owner="")) >= {("job_0003", "")}
    assert await found(job="job_0001") == [("job_0001", one.id)]
    assert await found(job="job_000_") == []
    assert await found(job="job_000%") == []
    assert await found(endpoint=other.id) == [("job_0002", other.id)]
    assert await found(endpoint="%") == []
    assert await found(state="dead") == [("job_0001", one.id)]
    assert len(await found()) == 3
    page = await webhooks.deliveries(Wanted(OWNER), 2)
    rest = await webhooks.deliveries(Wanted(OWNER), 2, page[-1].id)
    ids = [row.id for row in [*page, *rest]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 3


async def test_a_delivery_shows_what_its_tries_came_to(ledger, clock):
    await ended(ledger, new_job(1, callback_url=URL), GOOD)
    one = await claimed(ledger, "webhooks")
    tries = [
        Try(NOW_S, 12, 503, "The server answered 503."),
        Try(NOW_S + 5, 7, None, "The server cannot be reached."),
        Try(NOW_S + 305, 3, 200),
    ]
    for each in tries:
        await ledger.jobs.step(one, f"try {each.at:.3f}", msgspec.json.encode(each))
    await ledger.jobs.step(one, "something else", b"1")
    await ledger.jobs.finish(one, Succeeded(msgspec.json.encode(tries[-1])))
    found, log = await ledger.webhooks.delivery(one.job.id, OWNER)
    assert log == tries
    assert found.last == tries[-1]
    assert found.state == "succeeded"


async def test_another_kind_of_job_is_no_delivery(ledger):
    await ended(ledger, new_job(1), GOOD)
    with pytest.raises(NotFound, match="no delivery"):
        await ledger.webhooks.delivery("job_0001", OWNER)
