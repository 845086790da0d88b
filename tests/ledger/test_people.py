import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

import heavy
from crews import until
from gatemill.core.call import Key
from gatemill.core.clock import FakeClock
from gatemill.core.errors import Conflict, InvalidValue, LedgerUnavailable, NotFound
from gatemill.core.limits import UNLIMITED, Budget, Limits
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User

NOW_S = 1_763_700_000.0
PEPPER = bytes(range(32))
FEW = Limits(concurrency=2)
MONEY = Limits(budgets=(Budget("month", 5_000_000),))
NOTICED_S = heavy.within(1.0)


@asynccontextmanager
async def opened(folder, place, pepper=PEPPER):
    ledger = Ledger.open(folder, place.address, FakeClock(NOW_S), pepper=pepper)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def ledger(tmp_path, place):
    async with opened(tmp_path, place) as found:
        yield found


async def test_a_team_lives_and_ends(ledger):
    people = ledger.people
    made = await people.create_team("core", "Core", MONEY, actor="abc")
    assert made == Team("core", "Core", MONEY, NOW_S)
    assert await people.get_team("core") == made
    changed = await people.update_team("core", limits=FEW, actor="abc")
    assert changed == Team("core", "Core", FEW, NOW_S)
    assert await people.update_team("core", name="Kern") == Team("core", "Kern", FEW, NOW_S)
    assert await people.list_teams(5) == [Team("core", "Kern", FEW, NOW_S)]
    await people.delete_team("core", "abc")
    assert await people.list_teams(5) == []
    log = [(entry.action, entry.actor) for entry in await people.audit_log(9)]
    assert log == [("delete", "abc"), ("update", "cli"), ("update", "abc"), ("create", "abc")]


async def test_a_user_lives_and_ends(ledger):
    people = ledger.people
    await people.create_team("core", "Core")
    made = await people.create_user("anna", "Anna", "core", FEW, "abc")
    assert made == User("anna", "Anna", "core", FEW, NOW_S)
    assert await people.get_user("anna") == made
    changed = await people.update_user("anna", name="Ann", team_id="", limits=UNLIMITED, actor="x")
    assert await people.list_users(5) == [changed] == [User("anna", "Ann", "", UNLIMITED, NOW_S)]
    await people.delete_user("anna")
    with pytest.raises(NotFound):
        await people.get_user("anna")
    log = await people.audit_log(9)
    assert [(entry.action, entry.actor) for entry in log] == [
        ("delete", "cli"),
        ("update", "x"),
        ("create", "abc"),
        ("create", "cli"),
    ]
    assert await people.audit_log(1, before_id=log[1].id) == [log[2]]


async def test_mistakes_reach_the_caller(ledger):
    people = ledger.people
    await people.create_team("core", "Core")
    with pytest.raises(Conflict):
        await people.create_team("core", "Core")
    with pytest.raises(InvalidValue):
        await people.create_user("anna", "Anna", "nowhere")
    for call in (people.get_team("x"), people.update_user("x"), people.delete_team("x")):
        with pytest.raises(NotFound):
            await call
    assert ledger.healthy()


async def test_a_key_is_given_limits_a_user_and_a_team(ledger):
    people = ledger.people
    await people.create_team("core", "Core", MONEY)
    await people.create_user("anna", "Anna", "core", FEW)
    new = await ledger.create_key(
        "app", user_id="anna", limits=FEW, maker=Key("abc", "x", admin=True)
    )
    above = (("user", "anna", FEW), ("team", "core", MONEY))
    assert ledger.identify(new.secret.encode()) == new.key
    assert (new.key.limits, new.key.team_id, new.key.above) == (FEW, "core", above)
    await people.update_team("core", limits=UNLIMITED)
    assert ledger.identify(new.secret.encode()).above[1] == ("team", "core", UNLIMITED)
    changed = await ledger.update_key(new.key.id, name="b", models=["fast"], limits=UNLIMITED)
    assert (changed.name, changed.models, changed.limits) == ("b", ("fast",), UNLIMITED)
    freed = await ledger.update_key(new.key.id, user_id="", team_id="")
    assert ledger.identify(new.secret.encode()) == freed
    assert (await ledger.get_key(new.key.id)).key == freed
    assert freed.above == ()
    assert [entry.actor for entry in await people.audit_log(9) if entry.kind == "key"] == [
        "cli",
        "cli",
        "abc",
    ]


async def test_another_process_knows_every_change_within_a_second(tmp_path, place):
    async with opened(tmp_path / "a", place) as one, opened(tmp_path / "b", place) as other:

        async def noticed(check):
            await until(check, "it is noticed", NOTICED_S)

        new = await one.create_key("app")
        secret = new.secret.encode()
        await noticed(lambda: other.identify(secret) == new.key)
        await one.people.create_team("core", "Core", MONEY)
        await one.update_key(new.key.id, team_id="core")
        await noticed(lambda: other.identify(secret).above == (("team", "core", MONEY),))
        await one.people.update_team("core", limits=FEW)
        await noticed(lambda: other.identify(secret).above == (("team", "core", FEW),))
        await one.revoke_key(new.key.id)
        await noticed(lambda: other.identify(secret).revoked_s == NOW_S)


async def test_a_host_with_another_pepper_is_told_to_copy_it(tmp_path, place):
    async with opened(tmp_path / "a", place, pepper=None):
        with pytest.raises(LedgerUnavailable, match=r"Copy the file `pepper`.*share the pepper"):
            Ledger.open(tmp_path / "b", place.address, FakeClock(NOW_S))
        (tmp_path / "b" / "pepper").write_bytes((tmp_path / "a" / "pepper").read_bytes())
        async with opened(tmp_path / "b", place, pepper=None) as other:
            assert other.healthy()


async def test_two_changes_of_different_limits_at_the_same_moment_both_hold(ledger):
    people = ledger.people
    await people.create_team("core", "Core", UNLIMITED)
    await people.create_user("ada", "Ada", "core", UNLIMITED)
    key = (await ledger.create_key("k")).key

    def fewer(before: Limits) -> Limits:
        return replace(before, concurrency=2)

    def slower(before: Limits) -> Limits:
        return replace(before, requests_per_minute=60)

    for change in (
        lambda limits: people.update_team("core", limits=limits),
        lambda limits: people.update_user("ada", limits=limits),
        lambda limits: ledger.update_key(key.id, limits=limits),
    ):
        await asyncio.gather(change(fewer), change(slower))
    both = Limits(concurrency=2, requests_per_minute=60)
    found = [await people.get_team("core"), await people.get_user("ada")]
    found.append((await ledger.get_key(key.id)).key)
    assert [each.limits for each in found] == [both] * 3
