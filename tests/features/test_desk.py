from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import databases
from gatemill.core.call import Call, Head, Key
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    Conflict,
    InvalidType,
    InvalidValue,
    LedgerUnavailable,
    NotFound,
    UnsupportedOperation,
    UpstreamTimeout,
)
from gatemill.core.later import Bounds, Later
from gatemill.features import desk as room
from gatemill.features.desk import Desk, Terms
from gatemill.features.feast import Known
from gatemill.features.words import FeatureNew, ReadNew, RowNew, SetNew, WriteNew
from gatemill.ledger.features import Features
from gatemill.ledger.ledger import Ledger

NOW_S = 1_763_700_000.0
KEY = Key(id="k1", name="test")
TIER = FeatureNew("tier", "string", "free", 100.0)
AGE = FeatureNew("age", "number")
USERS = SetNew("user", [TIER, AGE], trusted=True)
PATIENT = Terms(budget_s=5.0)


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def ledger(tmp_path, clock):
    databases.lay(tmp_path)
    opened = Ledger.open(tmp_path, None, clock)
    yield opened
    await opened.close()


def made(ledger, clock, terms=PATIENT, feast=None) -> Desk:
    log = Later("log", ledger.features.log, Bounds(100, 1, 10, 1))
    return Desk(ledger, clock, log, terms, feast)


@pytest.fixture
async def desk(ledger, clock):
    desk = made(ledger, clock)
    await desk.put("users", USERS)
    await desk.write(WriteNew("user", [RowNew("u1", {"tier": "gold", "age": 3})]))
    yield desk
    await desk.log.close()


def call(features: dict[str, Any] | None = None, **entities: str) -> Call:
    head = Head(model="m", entities=tuple(entities.items()), features=features)
    return Call("req_1", "predict", b"{}", head, 0.0, 9.0, arrived_at=NOW_S, key=KEY)


# --- For requests ------------------------------------------------------------------------------------


async def test_a_request_is_given_what_is_known_and_the_log_says_so(desk):
    facts = await desk.resolve(call(user="u1"), keep=True)
    assert facts == {"user.tier": "gold", "user.age": 3}
    (given,) = await desk.logged(0, NOW_S + 9, "users", 10, "")
    assert (given.request_id, given.key_id, given.entities) == ("req_1", "k1", {"user": "u1"})
    assert given.given == facts


async def test_without_keep_nothing_is_logged(desk):
    await desk.resolve(call(user="u1"), keep=False)
    assert await desk.logged(0, NOW_S + 9, "", 10, "") == []


async def test_what_nobody_knows_is_its_default(desk):
    assert await desk.resolve(call(user="u2"), keep=False) == {
        "user.tier": "free",
        "user.age": None,
    }


async def test_what_is_too_old_is_its_default(desk, clock):
    clock.advance(101)
    assert await desk.resolve(call(user="u1"), keep=False) == {
        "user.tier": "free",
        "user.age": 3,
    }


async def test_an_unknown_entity_is_refused_by_name(desk, ledger, clock):
    with pytest.raises(InvalidValue, match=r"'usr'.*Use user") as error:
        await desk.resolve(call(usr="u1"), keep=False)
    assert error.value.param == "entities.usr"
    with pytest.raises(InvalidValue, match="There are none here"):
        await made(ledger, clock).resolve(call(user="u1"), keep=False)
    with pytest.raises(InvalidValue, match="printable"):
        await desk.resolve(call(user="\n"), keep=False)


async def test_a_trusted_feature_is_not_the_callers_to_say(desk):
    with pytest.raises(InvalidValue, match="feature set users") as error:
        await desk.resolve(call({"user.tier": "gold"}, user="u1"), keep=False)
    assert error.value.param == "features.user.tier"
    with pytest.raises(InvalidValue):
        await desk.resolve(call({"user.tier": "gold"}), keep=False)


async def test_a_replay_of_an_admin_says_what_was(desk):
    asked = call({"user.tier": "silver"})
    asked.job_id, asked.key = "job_1", Key(id="k2", name="admin", admin=True)
    assert await desk.resolve(asked, keep=False) == {"user.tier": "silver"}


async def test_callers_say_what_is_not_trusted_or_not_declared(desk):
    await desk.put("session", SetNew("session", [FeatureNew("device", "string", "web")]))
    said = {"session.device": "phone", "channel": "ads", "nothing": None}
    facts = await desk.resolve(call(said, session="s1", user="u1"), keep=True)
    assert facts == {"session.device": "phone", "user.tier": "gold", "user.age": 3}
    (given,) = await desk.logged(0, NOW_S + 9, "session", 10, "")
    assert given.given == facts
    unknown = await desk.resolve(call({"session.device": None}, session="s1"), keep=False)
    assert unknown == {"session.device": "web"}


@pytest.mark.parametrize("said", [{"session.device": 3}, {"anything": [1]}, {"anything": {}}])
async def test_what_callers_say_has_its_type(desk, said):
    await desk.put("session", SetNew("session", [FeatureNew("device", "string")]))
    with pytest.raises(InvalidType):
        await desk.resolve(call(said), keep=False)


# --- Time --------------------------------------------------------------------------------------------


class Gated(Features):
    """Answers when it may, and counts."""

    def __init__(self, real):
        self.__dict__ |= real.__dict__
        self.open = asyncio.Event()
        self.reads = 0
        self.failing = False

    async def latest(self, pairs):
        self.reads += 1
        await self.open.wait()
        if self.failing:
            raise LedgerUnavailable("It is away.")
        return await super().latest(pairs)


@pytest.fixture
async def slow(ledger, clock, desk):
    ledger.features = Gated(ledger.features)
    slow = made(ledger, clock, Terms(budget_s=0.01))
    slow.follow(desk)
    yield slow
    ledger.features.open.set()
    await asyncio.gather(*slow._flights.values())


async def test_what_comes_late_is_the_default_and_there_for_the_next(slow, ledger):
    late = await slow.resolve(call(user="u1"), keep=False)
    assert late == {"user.tier": "free", "user.age": None}
    assert slow.defaults == {"late": 1, "failed": 0, "refused": 0}
    flights = list(slow._flights.values())
    ledger.features.open.set()
    await asyncio.gather(*flights)
    assert (await slow.resolve(call(user="u1"), keep=False))["user.tier"] == "gold"
    assert ledger.features.reads == 1


async def test_equal_questions_are_one_read(slow, ledger):
    slow._terms = PATIENT
    asked = [asyncio.ensure_future(slow.resolve(call(user="u1"), keep=False)) for _ in range(9)]
    await asyncio.sleep(0)
    ledger.features.open.set()
    found = await asyncio.gather(*asked)
    assert {facts["user.tier"] for facts in found} == {"gold"}
    assert ledger.features.reads == 1


async def test_a_database_that_fails_gives_defaults(slow, ledger):
    ledger.features.failing = True
    ledger.features.open.set()
    slow._terms = PATIENT
    assert (await slow.resolve(call(user="u1"), keep=False))["user.tier"] == "free"
    assert slow.defaults["failed"] == 1
    ledger.features.failing = False
    assert (await slow.resolve(call(user="u1"), keep=False))["user.tier"] == "gold"


async def test_more_reads_than_may_be_under_way_give_defaults(slow, monkeypatch):
    monkeypatch.setattr(room, "FLIGHTS_MAX", 1)
    await slow.resolve(call(user="u1"), keep=False)
    await slow.resolve(call(user="u2"), keep=False)
    assert slow.defaults == {"late": 1, "failed": 0, "refused": 1}


async def test_a_read_that_began_before_a_write_is_not_kept(slow, ledger, desk):
    await slow.resolve(call(user="u1"), keep=False)
    flights = list(slow._flights.values())
    await slow.write(WriteNew("user", [RowNew("u1", {"tier": "silver"})]))
    ledger.features.open.set()
    await asyncio.gather(*flights)
    assert len(slow.cache) == 0
    slow._terms = PATIENT
    assert (await slow.resolve(call(user="u1"), keep=False))["user.tier"] == "silver"


async def test_who_asks_after_a_write_does_not_join_a_read_before_it(slow, ledger):
    gated, seen, told = ledger.features, asyncio.Event(), asyncio.Event()
    latest = gated.latest

    async def read(pairs):
        found = await latest(pairs)
        seen.set()
        await told.wait()
        return found

    gated.latest = read
    gated.open.set()
    slow._terms = PATIENT
    early = asyncio.ensure_future(slow.resolve(call(user="u1"), keep=False))
    await seen.wait()
    await slow.write(WriteNew("user", [RowNew("u1", {"tier": "silver"})]))
    late = asyncio.ensure_future(slow.resolve(call(user="u1"), keep=False))
    told.set()
    assert (await late)["user.tier"] == "silver"
    await early
    assert not slow._flights


async def test_values_are_kept_for_a_moment_and_not_read_again(desk, clock):
    threads = threading.active_count()
    for _ in range(20):
        await desk.resolve(call(user="u1"), keep=False)
    assert (desk.cache.hits, desk.cache.misses) == (19, 1)
    assert threading.active_count() <= threads + 1
    await desk.write(WriteNew("user", [RowNew("u1", {"tier": "silver"})]))
    assert (await desk.resolve(call(user="u1"), keep=False))["user.tier"] == "silver"


# --- For the door -----------------------------------------------------------------------------------


async def test_sets_are_found_replaced_and_deleted(desk):
    assert desk.find("users").trusted
    _, is_new = await desk.put("users", SetNew("user", [TIER]))
    assert not is_new
    assert (await desk.resolve(call(user="u1"), keep=False)) == {"user.tier": "gold"}
    with pytest.raises(Conflict):
        await desk.put("again", SetNew("user", [TIER]))
    await desk.delete("users")
    with pytest.raises(NotFound):
        desk.find("users")
    with pytest.raises(NotFound):
        await desk.logged(0, 1, "users", 10, "")


async def test_what_is_written_must_be_declared(desk):
    assert await desk.write(WriteNew("user", [RowNew("u1", {})])) == 0
    with pytest.raises(InvalidValue, match="entity"):
        await desk.write(WriteNew("thing", [RowNew("t", {})]))
    with pytest.raises(InvalidValue, match="Use tier, age"):
        await desk.write(WriteNew("user", [RowNew("u1", {"tire": 1})]))


async def test_reading_says_why_a_value_is_what_it_is(desk, clock):
    rows = [RowNew("u2", {"age": None, "tier": "gold"}, NOW_S - 200)]
    await desk.write(WriteNew("user", rows))
    first, second, third = await desk.read(ReadNew({"user": ["u1", "u2", "u3"]}))
    assert first["statuses"] == {"user.tier": "PRESENT", "user.age": "PRESENT"}
    assert second["values"] == {"user.tier": "free", "user.age": None}
    assert second["statuses"] == {"user.tier": "OUTSIDE_MAX_AGE", "user.age": "NULL_VALUE"}
    assert second["event_ts"] == {"user.tier": NOW_S - 200, "user.age": NOW_S - 200}
    assert third["statuses"] == {"user.tier": "NOT_FOUND", "user.age": "NOT_FOUND"}


async def test_reading_some_features_and_the_past(desk, clock):
    await desk.write(WriteNew("user", [RowNew("u1", {"tier": "bronze"}, NOW_S - 50)]))
    asked = ReadNew({"user": ["u1"]}, ["user.tier"], as_of=NOW_S - 40)
    (row,) = await desk.read(asked)
    assert row["values"] == {"user.tier": "bronze"}
    for known_by in (NOW_S - 1, "1s"):
        (row,) = await desk.read(ReadNew({"user": ["u1"]}, ["user.tier"], known_by=known_by))
        assert row["statuses"] == {"user.tier": "NOT_FOUND"}
    with pytest.raises(InvalidValue, match=r"features\.0"):
        await desk.read(ReadNew({"user": ["u1"]}, ["tier"]))
    with pytest.raises(InvalidValue, match=r"entities\.thing"):
        await desk.read(ReadNew({"thing": ["u1"]}))


# --- Feast ------------------------------------------------------------------------------------------


class Answering:
    """Stands where Feast does."""

    def __init__(self):
        self.known = {"tier": Known("gold", NOW_S, "PRESENT"), "age": Known(7, None, "PRESENT")}
        self.error = None

    async def online(self, refs, join_key, keys):
        if self.error is not None:
            raise self.error
        assert (dict(refs), join_key) == ({"tier": "v:tier", "age": "v:age"}, "user_id")
        return [self.known for _ in keys]


FROM_FEAST = SetNew(
    "user",
    [FeatureNew("tier", "string", "free", ref="v:tier"), FeatureNew("age", "number", ref="v:age")],
    source="feast",
    join_key="user_id",
)


@pytest.fixture
async def both(ledger, clock):
    desk = made(ledger, clock, feast=Answering())
    await desk.put("stats", FROM_FEAST)
    await desk.put("own", SetNew("user", [FeatureNew("lang", "string", "en")]))
    await desk.write(WriteNew("user", [RowNew("u1", {"lang": "de"})]))
    return desk


async def test_what_feast_knows_stands_beside_what_we_know(both):
    facts = await both.resolve(call(user="u1"), keep=False)
    assert facts == {"user.tier": "gold", "user.age": 7, "user.lang": "de"}
    (row,) = await both.read(ReadNew({"user": ["u1"]}))
    assert row["event_ts"]["user.age"] is None


async def test_feast_is_asked_for_many_at_once(both, monkeypatch):
    monkeypatch.setattr(room, "_SLICE", 2)
    asked = []
    online = both.feast.online

    async def counting(refs, join_key, keys):
        asked.append(list(keys))
        return await online(refs, join_key, keys)

    both.feast.online = counting
    rows = await both.read(ReadNew({"user": ["u1", "u2", "u3"]}))
    assert [row["values"]["user.tier"] for row in rows] == ["gold"] * 3
    assert asked == [["u1", "u2"], ["u3"]]


async def test_a_value_of_feast_that_has_another_type_is_none(both):
    both.feast.known = {"tier": Known(7, NOW_S, "PRESENT"), "age": Known(None, None, "NOT_FOUND")}
    (row,) = await both.read(ReadNew({"user": ["u1"]}, ["user.tier", "user.age"]))
    assert row["values"] == {"user.tier": "free", "user.age": None}
    assert row["statuses"] == {"user.tier": "NULL_VALUE", "user.age": "NOT_FOUND"}


async def test_while_feast_fails_our_own_values_are_there_and_nothing_is_kept(both):
    both.feast.error = UpstreamTimeout("It is slow.")
    facts = await both.resolve(call(user="u1"), keep=False)
    assert facts == {"user.tier": "free", "user.age": None, "user.lang": "de"}
    with pytest.raises(UpstreamTimeout):
        await both.read(ReadNew({"user": ["u1"]}))
    both.feast.error = None
    assert (await both.resolve(call(user="u1"), keep=False))["user.tier"] == "gold"


async def test_feast_has_its_own_past_and_is_not_written(both):
    with pytest.raises(InvalidValue, match="get_historical_features"):
        await both.read(ReadNew({"user": ["u1"]}, as_of=NOW_S))
    with pytest.raises(InvalidValue, match="Use lang"):
        await both.write(WriteNew("user", [RowNew("u1", {"tier": "x"})]))


async def test_without_a_server_reading_says_what_to_set(ledger, clock):
    desk = made(ledger, clock)
    await desk.put("stats", FROM_FEAST)
    with pytest.raises(UnsupportedOperation, match=r"features\.feast\.url"):
        await desk.read(ReadNew({"user": ["u1"]}))
