import pytest

from gatemill.core.errors import Conflict, InvalidValue, NotFound
from gatemill.core.limits import UNLIMITED, Limits
from gatemill.ledger import audit, keys, teams, users
from gatemill.ledger.keys import Scope
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User

NOW_S = 1_000_000.0
FEW = Limits(concurrency=2)
CORE = Team("core", "Core", FEW, NOW_S)


def test_a_team_is_read_as_it_was_made(database):
    assert teams.create(database, CORE, "cli") == CORE
    assert teams.read(database, "core") == CORE
    assert teams.find(database, "other") is None


def test_teams_are_listed_in_the_order_of_their_ids(database):
    for name in ("b", "a", "c"):
        teams.create(database, Team(name, name), "cli")
    assert [team.id for team in teams.listed(database, 2)] == ["a", "b"]


def test_an_id_is_given_once(database):
    teams.create(database, CORE, "cli")
    with pytest.raises(Conflict, match="another id"):
        teams.create(database, Team("core", "Else"), "cli")
    assert teams.read(database, "core") == CORE


@pytest.mark.parametrize(
    ("team", "param"),
    [
        (Team("Core", "n"), "id"),
        (Team("core", " "), "name"),
        (Team("core", "n", Limits(concurrency=0)), "limits.concurrency"),
    ],
)
def test_a_team_that_makes_no_sense_is_refused_by_the_name_of_the_field(database, team, param):
    with pytest.raises(InvalidValue) as refused:
        teams.create(database, team, "cli")
    assert refused.value.param == param
    assert teams.listed(database, 10) == []


def test_a_change_keeps_the_rest(database):
    teams.create(database, CORE, "cli")
    assert teams.update(database, "core", {"name": "Kern"}, NOW_S, "k") == Team(
        "core", "Kern", FEW, NOW_S
    )
    assert teams.update(database, "core", {"limits": UNLIMITED}, NOW_S, "k") == Team(
        "core", "Kern", UNLIMITED, NOW_S
    )
    assert teams.read(database, "core") == Team("core", "Kern", UNLIMITED, NOW_S)


@pytest.mark.parametrize("changes", [{"name": ""}, {"limits": Limits(concurrency=-1)}])
def test_a_change_that_makes_no_sense_changes_nothing(database, changes):
    teams.create(database, CORE, "cli")
    with pytest.raises(InvalidValue):
        teams.update(database, "core", changes, NOW_S, "cli")
    assert teams.read(database, "core") == CORE
    assert len(audit.listed(database, 10, None)) == 1


def test_a_team_nobody_belongs_to_can_go(database):
    teams.create(database, CORE, "cli")
    teams.delete(database, "core", NOW_S, "cli")
    with pytest.raises(NotFound, match="gatemill teams ls"):
        teams.read(database, "core")
    for change in (teams.delete, lambda *rest: teams.update(rest[0], rest[1], {}, *rest[2:])):
        with pytest.raises(NotFound):
            change(database, "core", NOW_S, "cli")


def test_a_team_with_users_stays(database):
    teams.create(database, CORE, "cli")
    users.create(database, User("anna", "Anna", "core"), "cli")
    with pytest.raises(Conflict, match="1 users and 0 live keys"):
        teams.delete(database, "core", NOW_S, "cli")
    users.update(database, "anna", {"team_id": ""}, NOW_S, "cli")
    teams.delete(database, "core", NOW_S, "cli")


def test_a_team_with_live_keys_stays_until_they_end(database):
    teams.create(database, CORE, "cli")
    key = keys.create(database, bytes(32), Scope("k", team_id="core"), NOW_S).key
    keys.create(database, bytes(32), Scope("k", team_id="core", expires_s=NOW_S + 5), NOW_S)
    with pytest.raises(Conflict, match="0 users and 2 live keys"):
        teams.delete(database, "core", NOW_S, "cli")
    keys.revoke(database, key.id, NOW_S)
    with pytest.raises(Conflict, match="1 live keys"):
        teams.delete(database, "core", NOW_S, "cli")
    teams.delete(database, "core", NOW_S + 5, "cli")
    assert keys.read(database, key.id).key.above == ()


def test_there_are_only_so_many_teams(database):
    rows = [(str(n), "n", "{}", 0.0, "") for n in range(teams.TEAMS_MAX)]
    database.run_many(teams._INSERT, rows)
    with pytest.raises(InvalidValue, match="Delete some"):
        teams.create(database, CORE, "cli")


def test_every_change_is_in_the_audit_log_with_what_changed(database):
    teams.create(database, CORE, "cli")
    teams.update(database, "core", {"name": "Kern", "limits": UNLIMITED}, NOW_S + 1, "abc")
    teams.update(database, "core", {"name": "Kern"}, NOW_S + 2, "abc")  # changes nothing
    teams.delete(database, "core", NOW_S + 3, "cli")
    log = audit.listed(database, 10, None)
    assert [(entry.at - NOW_S, entry.actor, entry.action) for entry in log] == [
        (3, "cli", "delete"),
        (1, "abc", "update"),
        (0, "cli", "create"),
    ]
    assert {(entry.kind, entry.object_id) for entry in log} == {("team", "core")}
    assert [entry.detail for entry in log] == [
        {"name": "Kern"},
        {"name": ["Core", "Kern"], "limits": [{"concurrency": 2}, {}]},
        {"name": "Core", "limits": {"concurrency": 2}},
    ]
