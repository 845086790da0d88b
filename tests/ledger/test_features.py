"""Features in the ledger, on SQLite and on Postgres."""

from __future__ import annotations

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import Conflict, NotFound
from gatemill.ledger import features
from gatemill.ledger.features import EVER_S, Feature, Given, Set, Written
from gatemill.ledger.ledger import Ledger

NOW_S = 1_763_700_000.0
USERS = Set(
    name="users",
    entity="user",
    features=(Feature("tier", "string", "free"), Feature("age", "number", ttl_s=60.0)),
    trusted=True,
)
U1 = ("user", "u1")


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def ledger(place, tmp_path, clock):
    opened = Ledger.open(tmp_path, place.url, clock)
    yield opened
    await opened.close()


def tier(value, event_at, key="u1"):
    return Written("user", key, "tier", event_at, value)


async def test_a_set_is_kept_replaced_and_deleted_and_others_hear_of_it(ledger, clock):
    made, is_new = await ledger.features.put(USERS)
    assert is_new
    assert (made.created_at, made.updated_at) == (NOW_S, NOW_S)
    clock.advance(5)
    first = await ledger.revisions()
    again, is_new = await ledger.features.put(Set("users", "user", (Feature("tier", "string"),)))
    assert not is_new
    assert (again.created_at, again.updated_at) == (NOW_S, NOW_S + 5)
    assert await ledger.features.sets() == [again]
    assert (await ledger.revisions())[features.ROOM] > first[features.ROOM]
    await ledger.features.write([tier("gold", NOW_S)])
    await ledger.features.delete("users")
    assert await ledger.features.sets() == []
    assert await ledger.features.latest([U1]) == {U1: {}}
    assert await ledger.features.at([(U1, "tier")], EVER_S, EVER_S) == {}
    with pytest.raises(NotFound):
        await ledger.features.delete("users")


async def test_a_feature_belongs_to_one_set(ledger, monkeypatch):
    await ledger.features.put(USERS)
    with pytest.raises(Conflict, match=r"users has a feature user\.tier"):
        await ledger.features.put(Set("other", "user", (Feature("tier", "string"),)))
    await ledger.features.put(Set("devices", "device", (Feature("tier", "string"),)))
    monkeypatch.setattr(features, "SETS_MAX", 2)
    with pytest.raises(Conflict, match="There are 2 feature sets"):
        await ledger.features.put(Set("third", "third", (Feature("x", "string"),)))


async def test_the_latest_event_wins_however_late_a_value_comes(ledger, clock):
    await ledger.features.write([tier("gold", NOW_S - 10), tier("old", NOW_S - 20)])
    clock.advance(1)
    await ledger.features.write([tier("older", NOW_S - 30), tier("free", NOW_S - 5, "u2")])
    found = await ledger.features.latest([U1, ("user", "u2"), ("user", "u3")])
    assert found[U1]["tier"].value == "gold"
    assert found["user", "u2"]["tier"].event_at == NOW_S - 5
    assert found["user", "u3"] == {}


async def test_of_two_values_for_one_moment_the_one_written_later_counts(ledger, clock):
    await ledger.features.write([tier("gold", NOW_S)])
    clock.advance(1)
    await ledger.features.write([tier("silver", NOW_S), tier("bronze", NOW_S)])
    assert (await ledger.features.latest([U1]))[U1]["tier"].value == "bronze"
    known_then = await ledger.features.at([(U1, "tier")], EVER_S, NOW_S + 0.5)
    assert known_then[U1, "tier"].value == "gold"


async def test_the_past_is_what_held_and_what_was_known_then(ledger, clock):
    await ledger.features.write([tier("free", NOW_S - 100), tier("gold", NOW_S - 10)])
    clock.advance(50)
    # Told late: it held at -60, and nobody knew it before +50.
    await ledger.features.write([tier("silver", NOW_S - 60)])
    asked = [(U1, "tier"), (U1, "age")]

    async def value(as_of_s, known_by_s=EVER_S):
        found = await ledger.features.at(asked, as_of_s, known_by_s)
        return found[U1, "tier"].value if found else None

    assert await value(NOW_S - 200) is None
    assert await value(NOW_S - 99) == "free"
    assert await value(NOW_S - 50) == "silver"
    assert await value(NOW_S - 50, NOW_S) == "free"
    assert await value(NOW_S) == "gold"


async def test_values_of_every_type_come_back_as_they_were(ledger):
    values = ["ü\x00", 1, 0.1, True, False, None, -(2**53)]
    rows = [Written("user", "u1", f"f{at}", NOW_S, value) for at, value in enumerate(values)]
    await ledger.features.write(rows)
    found = (await ledger.features.latest([U1]))[U1]
    assert [found[f"f{at}"].value for at in range(len(values))] == values


async def test_the_history_is_forgotten_and_the_latest_stays(ledger, clock):
    await ledger.features.write([tier("free", NOW_S - 100), tier("gold", NOW_S)])
    clock.advance(1000)
    assert await ledger.features.retain(500, 500, 10) == 2
    assert (await ledger.features.latest([U1]))[U1]["tier"].value == "gold"
    assert (await ledger.features.at([(U1, "tier")], NOW_S + 1, EVER_S))[U1, "tier"].value == "gold"
    assert await ledger.features.at([(U1, "tier")], NOW_S - 50, EVER_S) == {}


def given(number, sets=("users",)):
    return Given(
        *(f"req_{number}", NOW_S + number, "k1", "chat", "m"),
        sets=sets,
        entities={"user": "u1"},
        given={"user.tier": "gold", "user.age": None},
    )


async def test_the_log_says_what_requests_were_given(ledger):
    rows = [given(1), given(2, ("users", "ab")), given(3, ("a_b",))]
    await ledger.features.log(rows)
    await ledger.features.log([given(1, ("twice",))])

    async def ids(since_s=0.0, until_s=EVER_S, name="", limit=10, after=""):
        found = await ledger.features.logged(since_s, until_s, name, limit, after)
        return [one.request_id for one in found]

    assert (await ledger.features.logged(0, EVER_S, "", 10, ""))[::-1] == rows
    assert await ids(limit=2) == ["req_3", "req_2"]
    assert await ids(after="req_3") == ["req_2", "req_1"]
    assert await ids(name="users") == ["req_2", "req_1"]
    assert await ids(name="ab") == ["req_2"]
    assert await ids(since_s=NOW_S + 2, until_s=NOW_S + 2) == ["req_2"]


async def test_the_log_is_bounded_by_time_and_by_count(ledger, clock):
    await ledger.features.log([given(number) for number in range(9)])
    assert await ledger.features.retain(1e6, 1e6, 5) == 4
    clock.advance(1006)
    assert await ledger.features.retain(1e6, 1000, 5) == 3
    left = await ledger.features.logged(0, EVER_S, "", 10, "")
    assert [one.request_id for one in left] == ["req_8", "req_7"]
