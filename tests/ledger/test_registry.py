"""Names, versions and aliases in both databases: what never changes, what moves, and who moved it."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import Conflict, InvalidValue, NotFound
from gatemill.ledger import registry_changes, registry_rows
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.registry_rows import Model, Move, NewVersion

NOW_S = 1_763_700_000.0


@pytest.fixture
async def ledger(place, tmp_path):
    opened = Ledger.open(tmp_path, place.url, FakeClock(NOW_S))
    await opened.registry.create(Model("mood", "model", "classify", "Praise or blame."), "ann")
    yield opened
    await opened.close()


def to(alias: str = "production", if_current: int | None = None) -> Move:
    return Move("mood", alias, "It is better.", "ann", if_current)


async def add(ledger: Ledger, count: int) -> None:
    for number in range(count):
        await ledger.registry.add("mood", NewVersion(source=f"builtin:{number}"), "ann")


async def test_a_version_is_numbered_and_read_back_as_it_was_made(ledger: Ledger):
    new = NewVersion(
        source="hf:a/b@c",
        origin="mlflow:b@champion",
        engine="onnx",
        sha256="ab",
        options={"device": "cpu"},
        params={"l2": 0.1},
        metrics={"accuracy": 0.9},
        card="# Mood",
        template="{}",
        weights=b"\0\xff",
    )
    made = await ledger.registry.add("mood", new, "ann")
    assert (made.model, made.version, made.size, made.archived) == ("mood", 1, 4, False)
    assert (made.created_at, made.created_by) == (NOW_S, "ann")
    assert await ledger.registry.version("mood", 1) == made
    assert made.options == {"device": "cpu"} and made.metrics == {"accuracy": 0.9}
    assert await ledger.registry.content("mood", 1) == ("{}", b"\0\xff")
    snapshot = await ledger.registry.snapshot()
    (live,) = snapshot.versions
    assert (live.source, live.origin, live.sha256, live.size) == (
        "hf:a/b@c",
        "mlflow:b@champion",
        "ab",
        4,
    )
    assert snapshot.models[0].versions == 1


async def test_many_at_once_get_numbers_of_their_own(ledger: Ledger):
    made = await asyncio.gather(
        *(ledger.registry.add("mood", NewVersion(), "ann") for _ in range(9))
    )
    assert sorted(each.version for each in made) == list(range(1, 10))
    newest = await ledger.registry.versions("mood", 4)
    assert [each.version for each in newest] == [9, 8, 7, 6]
    assert [each.version for each in await ledger.registry.versions("mood", 4, 6)] == [5, 4, 3, 2]


async def test_the_same_source_is_added_once_where_that_is_asked(ledger: Ledger):
    new = NewVersion(source="mlflow:b/3")
    first = await ledger.registry.add("mood", new, "ann", once=True)
    assert await ledger.registry.add("mood", new, "bob", once=True) == first
    assert (await ledger.registry.add("mood", new, "bob")).version == 2


async def test_an_alias_moves_with_its_event_and_its_entry_in_the_audit_log(ledger: Ledger):
    await add(ledger, 2)
    before = await ledger.revisions()
    moved = await ledger.registry.move(to(), 1)
    assert (moved.version, moved.previous) == (1, 0)
    moved = await ledger.registry.move(to(if_current=1), 2)
    assert (moved.version, moved.previous) == (2, 1)
    newest, oldest = await ledger.registry.events("mood", 10)
    assert (newest.from_version, newest.to_version, newest.action) == (1, 2, "set")
    assert (newest.actor, newest.reason, newest.at) == ("ann", "It is better.", NOW_S)
    assert await ledger.registry.events("mood", 10, before=newest.id) == [oldest]
    assert await ledger.registry.events("mood", 10, alias="staging") == []
    entry = (await ledger.people.audit_log(1))[0]
    assert (entry.actor, entry.action, entry.kind, entry.object_id) == (
        "ann",
        "set_alias",
        "model",
        "mood",
    )
    assert entry.detail == {"alias": "production", "from": 1, "to": 2, "reason": "It is better."}
    assert (await ledger.revisions())["registry"] == before["registry"] + 2


async def test_a_move_to_where_it_is_changes_nothing(ledger: Ledger):
    await add(ledger, 1)
    await ledger.registry.move(to(), 1)
    before = await ledger.revisions()
    moved = await ledger.registry.move(to(), 1)
    assert (moved.version, moved.previous) == (1, 1)
    assert await ledger.revisions() == before
    assert len(await ledger.registry.events("mood", 10)) == 1


@pytest.mark.parametrize("current", [0, 1, 3])
async def test_a_move_is_refused_when_somebody_else_was_faster(ledger: Ledger, current: int):
    await add(ledger, 3)
    await ledger.registry.move(to(if_current=0), 2)
    with pytest.raises(Conflict, match="points to version 2"):
        await ledger.registry.move(to(if_current=current), 3)
    with pytest.raises(Conflict, match="does not exist, not version 2"):
        await ledger.registry.move(to("staging", if_current=2), 3)


async def test_of_two_that_move_at_once_one_is_told(ledger: Ledger):
    await add(ledger, 3)
    await ledger.registry.move(to(), 1)
    moves = (ledger.registry.move(to(if_current=1), 2), ledger.registry.move(to(if_current=1), 3))
    found = await asyncio.gather(*moves, return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["Conflict", "Moved"]


async def test_each_rollback_goes_one_further_back_and_a_move_goes_on_from_there(ledger: Ledger):
    await add(ledger, 4)
    for version in (1, 2, 3):
        await ledger.registry.move(to(), version)
    assert await ledger.registry.before("mood", "production") == 2
    assert (await ledger.registry.rollback(to(), 2)).previous == 3
    assert await ledger.registry.before("mood", "production") == 1
    await ledger.registry.move(to(), 4)
    assert await ledger.registry.before("mood", "production") == 2
    assert (await ledger.registry.rollback(to(), 2)).version == 2
    assert (await ledger.registry.rollback(to(if_current=2), 1)).version == 1
    with pytest.raises(Conflict, match="no other version before"):
        await ledger.registry.before("mood", "production")
    actions = [each.action for each in await ledger.registry.events("mood", 10)]
    assert actions == ["rollback", "rollback", "set", "rollback", "set", "set", "set"]


async def test_a_rollback_is_refused_when_the_alias_moved_meanwhile(ledger: Ledger):
    await add(ledger, 3)
    for version in (1, 2, 3):
        await ledger.registry.move(to(), version)
    with pytest.raises(Conflict, match="moved by somebody else"):
        await ledger.registry.rollback(to(), 1)
    with pytest.raises(Conflict, match="points to version 3"):
        await ledger.registry.rollback(to(if_current=2), 2)
    with pytest.raises(NotFound, match="no alias `staging`"):
        await ledger.registry.rollback(to("staging"), 2)


async def test_an_archived_version_is_served_no_more_and_keeps_its_row(ledger: Ledger):
    await ledger.registry.add("mood", NewVersion(weights=b"1234", template="{}"), "ann")
    await add(ledger, 1)
    await ledger.registry.move(to(), 1)
    with pytest.raises(Conflict, match="what mood@production means"):
        await ledger.registry.archive("mood", 1, "old", "ann")
    await ledger.registry.move(to(), 2)
    assert (await ledger.registry.archive("mood", 1, "old", "ann")).archived
    assert (await ledger.registry.archive("mood", 1, "old", "ann")).archived  # again
    assert [each.version for each in (await ledger.registry.snapshot()).versions] == [2]
    assert await ledger.registry.content("mood", 1) == ("{}", b"")
    with pytest.raises(Conflict, match="archived"):
        await ledger.registry.move(to(), 1)
    with pytest.raises(Conflict, match="archived"):
        await ledger.registry.rollback(to(), 1)


async def test_a_deleted_name_never_gives_a_number_out_again(ledger: Ledger):
    await add(ledger, 2)
    await ledger.registry.move(to(), 2)
    await ledger.registry.delete("mood", "Nobody uses it.", "ann")
    snapshot = await ledger.registry.snapshot()
    assert (snapshot.models, snapshot.versions, snapshot.aliases) == ((), (), ())
    with pytest.raises(NotFound):
        await ledger.registry.add("mood", NewVersion(), "ann")
    with pytest.raises(NotFound):
        await ledger.registry.delete("mood", "again", "ann")
    await ledger.registry.create(Model("mood", "prompt", "", ""), "bob")
    assert (await ledger.registry.get("mood")).kind == "prompt"
    assert (await ledger.registry.add("mood", NewVersion(template="{}"), "bob")).version == 3
    assert await ledger.registry.events("mood", 10) == []


async def test_an_alias_that_was_deleted_begins_anew(ledger: Ledger):
    await add(ledger, 2)
    await ledger.registry.move(to(), 1)
    await ledger.registry.move(to(), 2)
    with pytest.raises(Conflict, match="points to version 2"):
        await ledger.registry.drop_alias(to(if_current=1))
    assert (await ledger.registry.drop_alias(to(if_current=2))).previous == 2
    with pytest.raises(NotFound):
        await ledger.registry.drop_alias(to())
    await ledger.registry.move(to(), 1)
    with pytest.raises(Conflict, match="no other version before"):
        await ledger.registry.before("mood", "production")


async def test_what_is_not_there_is_said_so(ledger: Ledger):
    with pytest.raises(Conflict, match="already"):
        await ledger.registry.create(Model("mood", "model", "embed", ""), "ann")
    with pytest.raises(NotFound, match="no version 7"):
        await ledger.registry.version("mood", 7)
    with pytest.raises(NotFound, match="no version 7"):
        await ledger.registry.content("mood", 7)
    with pytest.raises(NotFound, match="nothing called `moo`"):
        await ledger.registry.versions("moo", 10)
    with pytest.raises(NotFound, match="nothing called `moo`"):
        await ledger.registry.events("moo", 10)
    with pytest.raises(NotFound, match="no version 1"):
        await ledger.registry.move(to(), 1)


async def test_everything_has_an_end(ledger: Ledger, monkeypatch):
    await add(ledger, 2)
    monkeypatch.setattr(registry_changes, "ALIASES_MAX", 1)
    await ledger.registry.move(to(), 1)
    with pytest.raises(Conflict, match="has 1 aliases"):
        await ledger.registry.move(to("staging"), 1)
    monkeypatch.setattr(registry_changes, "CONTENT_BYTES_MAX", 3)
    with pytest.raises(Conflict, match="more than 3 bytes"):
        await ledger.registry.add("mood", NewVersion(weights=b"1234"), "ann")
    monkeypatch.setattr(registry_changes, "VERSIONS_MAX", 2)
    with pytest.raises(Conflict, match="There are 2 versions"):
        await add(ledger, 1)
    monkeypatch.setattr(registry_changes, "VERSIONS_MAX_OF_ONE", 2)
    with pytest.raises(Conflict, match="`mood` has 2 versions"):
        await add(ledger, 1)
    monkeypatch.setattr(registry_changes, "MODELS_MAX", 1)
    with pytest.raises(Conflict, match="There are 1 names"):
        await ledger.registry.create(Model("other", "model", "embed", ""), "ann")
    assert registry_rows.VERSIONS_MAX == 2_000


async def test_a_prompt_is_given_to_a_team_and_back_and_the_log_says_who_did_it(ledger: Ledger):
    await ledger.people.create_team("red", "Red")
    made = await ledger.registry.create(Model("greet", "prompt", "", "", team_id="red"), "ann")
    assert made.team_id == "red"
    assert (await ledger.registry.give("greet", "", "bob")).team_id == ""
    assert (await ledger.registry.give("greet", "", "bob")).team_id == ""  # changes nothing
    assert (await ledger.registry.give("greet", "red", "bob")).team_id == "red"
    assert {one.name: one.team_id for one in (await ledger.registry.snapshot()).models} == {
        "mood": "",
        "greet": "red",
    }
    log = [entry for entry in await ledger.people.audit_log(20) if entry.kind == "prompt"]
    assert [(one.action, one.actor, one.detail.get("team_id")) for one in log] == [
        ("update", "bob", ["", "red"]),
        ("update", "bob", ["red", ""]),
        ("create", "ann", "red"),
    ]


async def test_a_prompt_that_is_made_anew_is_not_the_teams_of_before(ledger: Ledger):
    await ledger.people.create_team("red", "Red")
    await ledger.registry.create(Model("greet", "prompt", "", "", team_id="red"), "ann")
    await ledger.registry.delete("greet", "Nobody uses it.", "ann")
    with pytest.raises(NotFound):
        await ledger.registry.give("greet", "red", "ann")
    assert (await ledger.registry.create(Model("greet", "prompt", "", ""), "ann")).team_id == ""


async def test_a_prompt_goes_to_no_team_that_is_not_there_and_a_model_to_none(ledger: Ledger):
    with pytest.raises(InvalidValue, match="no team with this id") as refused:
        await ledger.registry.create(Model("greet", "prompt", "", "", team_id="red"), "ann")
    assert refused.value.param == "team_id"
    await ledger.registry.create(Model("greet", "prompt", "", ""), "ann")
    with pytest.raises(InvalidValue, match="no team with this id"):
        await ledger.registry.give("greet", "red", "ann")
    await ledger.people.create_team("red", "Red")
    with pytest.raises(InvalidValue, match="is a model") as refused:
        await ledger.registry.give("mood", "red", "ann")
    assert refused.value.param == "team_id"
