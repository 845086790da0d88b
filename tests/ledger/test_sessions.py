import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

import databases
from gatemill.core.clock import FakeClock
from gatemill.core.errors import Overloaded
from gatemill.ledger import sessions
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.sessions import OF_ONE_MAX, TOUCH_S, Patience, Person

PATIENCE = Patience(idle_s=100.0, lifetime_s=1000.0)
ANNA = Person(scopes=("admin:read",), key_id="anna")
BOB = Person(scopes=("admin",), subject="bob@example.com")


@asynccontextmanager
async def opened(tmp_path, clock=None):
    databases.lay(tmp_path)
    ledger = Ledger.open(tmp_path, None, clock or FakeClock())
    try:
        yield ledger
    finally:
        await ledger.close()


async def test_a_cookie_finds_its_person_and_no_other_does(tmp_path):
    async with opened(tmp_path) as ledger:
        anna = await ledger.sessions.begin(ANNA, PATIENCE, "10.0.0.1")
        bob = await ledger.sessions.begin(BOB, PATIENCE, "10.0.0.2")
        assert anna != bob
        found = await ledger.sessions.find(anna, PATIENCE)
        assert (found.key_id, found.subject, found.scopes) == ("anna", "", ("admin:read",))
        assert found.actor == "anna"
        assert (await ledger.sessions.find(bob, PATIENCE)).actor == "oidc:bob@example.com"
        for other in ("", anna[:-1], anna + "x", anna.swapcase(), "x" * 100, found.digest):
            assert await ledger.sessions.find(other, PATIENCE) is None


async def test_what_is_derived_depends_on_purpose_secret_and_pepper(tmp_path):
    async with opened(tmp_path / "one") as one, opened(tmp_path / "two") as two:
        made = {
            one.sessions.derived("form", "a"),
            one.sessions.derived("form", "b"),
            one.sessions.derived("state", "a"),
            two.sessions.derived("form", "a"),
        }
    assert len(made) == 4
    assert {len(text) for text in made} == {64}


async def test_a_session_ends_when_nobody_uses_it(tmp_path):
    clock = FakeClock()
    async with opened(tmp_path, clock) as ledger:
        cookie = await ledger.sessions.begin(ANNA, PATIENCE, "")
        for _ in range(5):  # each look keeps it, to within TOUCH_S
            clock.advance(PATIENCE.idle_s - TOUCH_S)
            assert await ledger.sessions.find(cookie, PATIENCE) is not None
        clock.advance(PATIENCE.idle_s)
        assert await ledger.sessions.find(cookie, PATIENCE) is None


async def test_a_session_ends_after_its_lifetime_however_busy_it_is(tmp_path):
    clock = FakeClock()
    async with opened(tmp_path, clock) as ledger:
        cookie = await ledger.sessions.begin(ANNA, PATIENCE, "")
        for _ in range(19):
            clock.advance(50.0)
            assert await ledger.sessions.find(cookie, PATIENCE) is not None
        clock.advance(50.0)
        assert await ledger.sessions.find(cookie, PATIENCE) is None
        assert await ledger.sessions.sweep(PATIENCE) == 1
        assert await ledger.sessions.sweep(PATIENCE) == 0


async def test_signing_out_ends_one_session_and_is_told_once(tmp_path):
    async with opened(tmp_path) as ledger:
        first = await ledger.sessions.begin(ANNA, PATIENCE, "10.0.0.1")
        second = await ledger.sessions.begin(ANNA, PATIENCE, "10.0.0.1")
        session = await ledger.sessions.find(first, PATIENCE)
        await asyncio.gather(ledger.sessions.end(session), ledger.sessions.end(session))
        assert await ledger.sessions.find(first, PATIENCE) is None
        assert await ledger.sessions.find(second, PATIENCE) is not None
        log = await ledger.people.audit_log(10)
        assert [one.action for one in log] == ["sign_out", "sign_in", "sign_in"]
        assert log[-1].detail == {"address": "10.0.0.1"}
        assert first not in str(log)


async def test_the_oldest_sessions_of_one_person_make_room(tmp_path):
    clock = FakeClock()
    async with opened(tmp_path, clock) as ledger:
        bob = await ledger.sessions.begin(BOB, PATIENCE, "")
        cookies = []
        for _ in range(OF_ONE_MAX + 1):
            clock.advance(0.001)
            cookies.append(await ledger.sessions.begin(ANNA, PATIENCE, ""))
        alive = [await ledger.sessions.find(one, PATIENCE) is not None for one in cookies]
        assert alive == [False] + [True] * OF_ONE_MAX
        assert await ledger.sessions.find(bob, PATIENCE) is not None


async def test_more_people_than_there_is_room_for_are_told_to_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 2)
    async with opened(tmp_path) as ledger:
        for number in range(2):
            await ledger.sessions.begin(replace(BOB, subject=str(number)), PATIENCE, "")
        with pytest.raises(Overloaded):
            await ledger.sessions.begin(ANNA, PATIENCE, "")


async def test_a_refusal_is_in_the_audit_log_and_changes_no_keys(tmp_path):
    async with opened(tmp_path) as ledger:
        version = ledger.keys.version
        await ledger.sessions.refused("10.0.0.9", "invalid_api_key")
        entry = (await ledger.people.audit_log(1))[0]
        assert (entry.actor, entry.action, entry.kind) == ("", "sign_in_refused", "session")
        assert entry.detail == {"address": "10.0.0.9", "reason": "invalid_api_key"}
        assert ledger.keys.version == version


# --- Links that sign in once -----------------------------------------------------------------------------


async def test_a_link_is_taken_once_and_ends_by_itself(tmp_path):
    clock = FakeClock()
    async with opened(tmp_path, clock) as ledger:
        links = ledger.sessions
        first, second = await links.create_link("anna"), await links.create_link("bob", 10.0)
        assert first != second
        assert [await links.take_link(text) for text in ("", first[:-1], "x" * 200)] == [None] * 3
        assert [await links.take_link(first) for _ in range(2)] == ["anna", None]
        clock.advance(10.0)
        assert await links.take_link(second) is None
        assert await links.sweep(PATIENCE) == 0
        log = await ledger.people.audit_log(10)
        assert [(one.actor, one.action, one.kind) for one in log] == [
            ("cli", "create", "sign_in_link")
        ] * 2
        assert first not in str(log)


async def test_a_new_link_makes_the_oldest_end_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "LINKS_MAX", 2)
    clock = FakeClock()
    async with opened(tmp_path, clock) as ledger:
        made = []
        for name in ("a", "b", "c"):
            clock.advance(1.0)
            made.append(await ledger.sessions.create_link(name))
        assert [await ledger.sessions.take_link(text) for text in made] == [None, "b", "c"]


async def test_of_all_who_take_a_link_in_two_processes_one_gets_it(tmp_path, place):
    one = Ledger.open(tmp_path, place.address, FakeClock())
    other = Ledger.open(tmp_path, place.address, FakeClock())
    try:
        for _ in range(3):
            token = await one.sessions.create_link("anna")
            tries = [each.sessions.take_link(token) for each in (one, other) * 5]
            found = await asyncio.gather(*tries)
            assert sorted(found, key=str) == [None] * 9 + ["anna"]
    finally:
        await one.close()
        await other.close()
