import pytest

from gatemill.core.errors import Conflict, InvalidValue, NotFound
from gatemill.core.limits import Limits
from gatemill.ledger import audit, keys, teams, users
from gatemill.ledger.keys import Scope
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User

NOW_S = 1_000_000.0
FEW = Limits(requests_per_minute=2)
ANNA = User("anna", "Anna", "core", FEW, NOW_S)


@pytest.fixture
def core(database):
    return teams.create(database, Team("core", "Core"), "cli")


def test_a_user_is_read_as_they_were_made(database, core):
    assert users.create(database, ANNA, "cli") == ANNA
    assert users.read(database, "anna") == ANNA
    assert users.find(database, "bob") is None


def test_users_are_listed_in_the_order_of_their_ids(database):
    for name in ("b", "a", "c"):
        users.create(database, User(name, name), "cli")
    assert [user.id for user in users.listed(database, 2)] == ["a", "b"]


def test_an_id_is_given_once(database, core):
    users.create(database, ANNA, "cli")
    with pytest.raises(Conflict, match="another id"):
        users.create(database, User("anna", "Else"), "cli")
    assert users.read(database, "anna") == ANNA


@pytest.mark.parametrize(
    ("user", "param"),
    [
        (User("Anna", "n"), "id"),
        (User("anna", ""), "name"),
        (User("anna", "n", "nowhere"), "team_id"),
        (User("anna", "n", "", Limits(concurrency=0)), "limits.concurrency"),
    ],
)
def test_a_user_that_makes_no_sense_is_refused_by_the_name_of_the_field(database, user, param):
    with pytest.raises(InvalidValue) as refused:
        users.create(database, user, "cli")
    assert refused.value.param == param
    assert users.listed(database, 10) == []
    assert audit.listed(database, 10, None) == []


def test_a_change_keeps_the_rest(database, core):
    users.create(database, ANNA, "cli")
    changed = users.update(database, "anna", {"name": "Ann", "team_id": ""}, NOW_S, "cli")
    assert changed == users.read(database, "anna") == User("anna", "Ann", "", FEW, NOW_S)


def test_a_user_does_not_move_to_a_team_that_is_not_there(database, core):
    users.create(database, ANNA, "cli")
    with pytest.raises(InvalidValue, match="teams create") as refused:
        users.update(database, "anna", {"team_id": "nowhere"}, NOW_S, "cli")
    assert refused.value.param == "team_id"
    assert users.read(database, "anna") == ANNA


def test_a_user_without_live_keys_can_go(database, core):
    users.create(database, ANNA, "cli")
    key = keys.create(database, bytes(32), Scope("k", user_id="anna"), NOW_S).key
    with pytest.raises(Conflict, match="1 live keys"):
        users.delete(database, "anna", NOW_S, "cli")
    keys.revoke(database, key.id, NOW_S)
    users.delete(database, "anna", NOW_S, "cli")
    with pytest.raises(NotFound, match="gatemill users ls"):
        users.read(database, "anna")
    ended = keys.read(database, key.id).key
    assert (ended.user_id, ended.team_id, ended.above) == ("anna", "", ())


@pytest.mark.parametrize(
    "change", [users.delete, lambda *rest: users.update(rest[0], rest[1], {}, *rest[2:])]
)
def test_an_unknown_user_is_not_found(database, change):
    with pytest.raises(NotFound):
        change(database, "bob", NOW_S, "cli")


def test_there_are_only_so_many_users(database):
    rows = [(str(n), "n", "", "{}", 0.0) for n in range(users.USERS_MAX)]
    with database.transaction():
        database.run_many(users._INSERT, rows)
    with pytest.raises(InvalidValue, match="Delete some"):
        users.create(database, User("anna", "Anna"), "cli")


def test_every_change_is_in_the_audit_log_with_what_changed(database, core):
    users.create(database, ANNA, "abc")
    users.update(database, "anna", {"team_id": ""}, NOW_S + 1, "cli")
    users.update(database, "anna", {}, NOW_S + 2, "cli")
    users.delete(database, "anna", NOW_S + 3, "cli")
    log = [entry for entry in audit.listed(database, 10, None) if entry.kind == "user"]
    assert [(entry.at - NOW_S, entry.actor, entry.action, entry.detail) for entry in log] == [
        (3, "cli", "delete", {"name": "Anna"}),
        (1, "cli", "update", {"team_id": ["core", ""]}),
        (
            0,
            "abc",
            "create",
            {"name": "Anna", "team_id": "core", "limits": {"requests_per_minute": 2}},
        ),
    ]
