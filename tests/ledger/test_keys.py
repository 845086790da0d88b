import hmac
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core import scopes
from gatemill.core.call import Key
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.limits import UNLIMITED, Budget, Limits
from gatemill.ledger import audit, keys, queries, teams, usage, users
from gatemill.ledger.keys import LIVE_KEYS_MAX, KeyTable, ListedKey, Scope
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User
from keys_play import NOW_S, PEPPER, identify, make
from usage_rows import usage_row

OWN = Limits(concurrency=7)
ANNA = Limits(requests_per_minute=3)
CORE = Limits(budgets=(Budget("month", 5_000_000),))
SALES = Limits(tokens_per_minute=100)
ID = st.text(string.ascii_lowercase + string.digits, min_size=10, max_size=10)


@given(ID)
def test_a_secret_says_its_public_id(key_id):
    assert keys.public_id(keys.new_secret(key_id).encode()) == key_id


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: f"gm-{text}".encode()))
def test_anything_else_has_no_public_id(text):
    parts = text.split(b"-")
    shaped = len(parts) == 3 and [len(part) for part in parts] == [2, 10, 43]
    assert shaped or keys.public_id(text) is None


@given(ID, st.integers(0, 56), st.sampled_from([b"", b"!", b"\n", b"\xc3\xa9", b"--"]))
def test_a_secret_with_one_character_changed_is_not_well_formed(key_id, place, other):
    secret = keys.new_secret(key_id).encode()
    assert keys.public_id(secret[:place] + other + secret[place + 1 :]) is None


def test_secrets_do_not_repeat_and_use_the_whole_alphabet():
    tails = [keys.new_secret("a" * 10)[14:] for _ in range(500)]
    assert {len(tail) for tail in tails} == {43}
    assert len({tail[:8] for tail in tails}) == 500
    assert set("".join(tails)) == set(string.ascii_letters + string.digits)


def test_a_new_key_is_identified_by_its_secret_only(database):
    new = make(database, models=("gpt-*", "fast"), admin=True, expires_s=NOW_S + 5)
    assert identify(database, new.secret) == new.key
    assert identify(database, new.secret[:-1]) is None
    assert identify(database, new.key.id) is None
    assert new.key.models == ("gpt-*", "fast")
    assert (new.key.admin, new.key.expires_s, new.key.created_s) == (True, NOW_S + 5, NOW_S)


def test_a_key_is_found_by_its_id_too(database):
    new = keys.create(database, PEPPER, keys.Scope("app"), NOW_S)
    table = keys.load(database, PEPPER, NOW_S)
    assert table.by_id(new.key.id) == new.key
    assert table.by_id("unknown") is None


def test_the_database_holds_nothing_that_opens_the_door(database):
    new = make(database)
    with database.snapshot():
        stored = str(
            [
                list(database.batches(queries.of_table("every_row", table, tuple(columns)), 100))
                for table, columns in database.tables().items()
            ]
        )
    assert new.key.id in stored
    assert new.secret[14:] not in stored
    row = database.rows(queries.load("keys")["load_keys"], {"dead_since_s": 0.0})[0]
    assert row["digest"] == hmac.digest(PEPPER, new.secret.encode(), "sha256").hex()
    assert identify(database, row["digest"]) is None


def test_another_pepper_knows_nobody(database):
    new = make(database)
    assert keys.load(database, bytes(32), NOW_S).identify(new.secret.encode()) is None


def test_a_secret_of_any_length_is_looked_up_without_harm():
    table = KeyTable(PEPPER, 1, {})
    assert table.identify(b"") is None
    assert table.identify(b"x" * 10_000_000) is None
    assert len(table) == 0


@pytest.mark.parametrize("length", [32, 64, 65, 200])
def test_a_pepper_of_any_length_is_that_of_the_standard(length):
    long = bytes(range(length))
    key = Key("id", "name")
    table = KeyTable(long, 1, {hmac.digest(long, b"gm-secret", "sha256"): key})
    assert table.identify(b"gm-secret") == key


def test_every_change_raises_the_version(database):
    seen = [keys.read_version(database)]
    first = make(database)
    seen.append(keys.read_version(database))
    keys.rotate(database, PEPPER, first.key.id, 60.0, NOW_S)
    seen.append(keys.read_version(database))
    keys.revoke(database, first.key.id, NOW_S)
    seen.append(keys.read_version(database))
    assert seen == sorted(set(seen))
    assert keys.load(database, PEPPER, NOW_S).version == seen[-1]


def test_a_rotated_key_works_until_its_grace_ends(database):
    old = make(database, models=("fast",), admin=True, expires_s=NOW_S + 900)
    new = keys.rotate(database, PEPPER, old.key.id, 60.0, NOW_S + 1)
    kept = identify(database, old.secret)
    assert kept == msgspec.structs.replace(old.key, revoked_s=NOW_S + 61)
    found = identify(database, new.secret)
    assert found.id != old.key.id
    assert (found.name, found.models, found.admin) == ("anna", ("fast",), True)
    assert (found.expires_s, found.revoked_s) == (NOW_S + 900, None)


@pytest.fixture
def people(database):
    """Anna of the core team, Bob of none, and another team."""
    teams.create(database, Team("core", "Core", CORE), "cli")
    teams.create(database, Team("sales", "Sales", SALES), "cli")
    users.create(database, User("anna", "Anna", "core", ANNA), "cli")
    users.create(database, User("bob", "Bob"), "cli")


@pytest.mark.parametrize(
    ("user_id", "team_id", "team", "above"),
    [
        ("", "", "", ()),
        ("bob", "", "", (("user", "bob", UNLIMITED),)),
        ("anna", "", "core", (("user", "anna", ANNA), ("team", "core", CORE))),
        ("anna", "sales", "sales", (("user", "anna", ANNA), ("team", "sales", SALES))),
        ("", "sales", "sales", (("team", "sales", SALES),)),
    ],
)
@pytest.mark.usefixtures("people")
def test_a_key_knows_what_its_user_and_its_team_may_do(database, user_id, team_id, team, above):
    new = make(database, user_id=user_id, team_id=team_id, limits=OWN)
    found = identify(database, new.secret)
    assert found == new.key == keys.read(database, found.id).key
    assert (found.user_id, found.team_id, found.limits, found.above) == (user_id, team, OWN, above)
    assert keys.listed(database, 1) == [ListedKey(found, None)]


@pytest.mark.usefixtures("people")
def test_a_rotated_key_keeps_whose_it_is_and_follows_its_users_team(database):
    old = make(database, user_id="anna", limits=OWN)
    new = keys.rotate(database, PEPPER, old.key.id, 60.0, NOW_S)
    assert (new.key.user_id, new.key.team_id, new.key.limits) == ("anna", "core", OWN)
    assert new.key.above == old.key.above
    users.update(database, "anna", {"team_id": "sales"}, NOW_S, "cli")
    assert identify(database, new.secret).above[1] == ("team", "sales", SALES)


@pytest.mark.usefixtures("people")
def test_changes_of_people_reach_the_table_of_keys(database):
    new = make(database, user_id="anna")
    version = keys.read_version(database)
    users.update(database, "anna", {"limits": OWN}, NOW_S, "cli")
    teams.update(database, "core", {"limits": SALES}, NOW_S, "cli")
    assert keys.read_version(database) == version + 2
    above = identify(database, new.secret).above
    assert above == (("user", "anna", OWN), ("team", "core", SALES))


@pytest.mark.usefixtures("people")
def test_an_update_changes_what_it_names(database):
    old = make(database, admin=True, limits=OWN, expires_s=NOW_S + 9).key
    changes = {"name": "new", "models": ("fast",), "user_id": "anna"}
    new = keys.update(database, old.id, changes, NOW_S, "abc")
    assert new == keys.read(database, old.id).key
    assert (new.name, new.models, new.user_id, new.team_id) == ("new", ("fast",), "anna", "core")
    assert (new.admin, new.limits, new.expires_s) == (True, OWN, NOW_S + 9)
    moved = keys.update(database, old.id, {"team_id": "sales", "limits": UNLIMITED}, NOW_S, "abc")
    assert (moved.team_id, moved.limits) == ("sales", UNLIMITED)
    back = keys.update(database, old.id, {"team_id": "", "user_id": ""}, NOW_S, "abc")
    assert (back.team_id, back.above) == ("", ())


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": ""}, "name"),
        ({"models": ()}, "models"),
        ({"limits": Limits(concurrency=0)}, "limits.concurrency"),
        ({"user_id": "nobody"}, "user_id"),
        ({"team_id": "nowhere"}, "team_id"),
    ],
)
def test_an_update_that_makes_no_sense_changes_nothing(database, changes, param):
    key = make(database).key
    with pytest.raises(InvalidValue) as refused:
        keys.update(database, key.id, changes, NOW_S)
    assert refused.value.param == param
    assert keys.read(database, key.id).key == key
    with pytest.raises(NotFound):
        keys.update(database, "nobody0000", {}, NOW_S)


@pytest.mark.usefixtures("people")
def test_every_change_of_a_key_is_in_the_audit_log(database):
    key = make(database, user_id="anna", limits=OWN, expires_s=NOW_S + 90).key
    keys.update(database, key.id, {"name": "new"}, NOW_S + 1, "abc")
    keys.update(database, key.id, {"name": "new"}, NOW_S + 2, "abc")  # changes nothing
    new = keys.rotate(database, PEPPER, key.id, 60.0, NOW_S + 3, "abc")
    keys.revoke(database, key.id, NOW_S + 4)
    keys.revoke(database, key.id, NOW_S + 5)  # has ended already
    log = [entry for entry in audit.listed(database, 20, None) if entry.kind == "key"]
    assert {entry.object_id for entry in log} == {key.id}
    assert [(entry.at - NOW_S, entry.actor, entry.action, entry.detail) for entry in log] == [
        (4, "cli", "revoke", {}),
        (3, "abc", "rotate", {"new_id": new.key.id, "grace_s": 60.0}),
        (1, "abc", "update", {"name": ["anna", "new"]}),
        (
            0,
            "cli",
            "create",
            {
                "name": "anna",
                "models": ["*"],
                "admin": False,
                "expires_s": NOW_S + 90,
                "user_id": "anna",
                "team_id": "",
                "limits": {"concurrency": 7},
                "scopes": list(scopes.DEFAULT),
                "guards": {"input": [], "output": []},
            },
        ),
    ]
    assert new.secret not in str(log)


@pytest.mark.parametrize("ended", ["revoked", "rotated", "expired"])
def test_a_key_that_ended_or_is_being_replaced_is_not_rotated(database, ended):
    key = make(database, expires_s=NOW_S + 5).key
    now_s = NOW_S + 10 if ended == "expired" else NOW_S
    if ended == "revoked":
        keys.revoke(database, key.id, NOW_S)
    if ended == "rotated":
        keys.rotate(database, PEPPER, key.id, 60.0, NOW_S)
    before = len(keys.listed(database, 10))
    with pytest.raises(InvalidValue, match="Create a new key"):
        keys.rotate(database, PEPPER, key.id, 60.0, now_s)
    assert len(keys.listed(database, 10)) == before


@pytest.mark.parametrize("grace_s", [-1.0, float("nan")])
def test_a_grace_below_zero_is_refused(database, grace_s):
    key = make(database).key
    with pytest.raises(InvalidValue) as refused:
        keys.rotate(database, PEPPER, key.id, grace_s, NOW_S)
    assert refused.value.param == "grace_s"


def test_revoking_ends_a_key_now_and_only_once(database):
    key = make(database).key
    assert keys.revoke(database, key.id, NOW_S + 1).revoked_s == NOW_S + 1
    assert keys.revoke(database, key.id, NOW_S + 9).revoked_s == NOW_S + 1


def test_revoking_cuts_a_grace_short(database):
    old = make(database).key
    keys.rotate(database, PEPPER, old.id, 3600.0, NOW_S)
    assert keys.revoke(database, old.id, NOW_S + 1).revoked_s == NOW_S + 1


def test_an_admin_key_that_works_is_told_from_one_that_did(database):
    make(database, "plain")
    assert not keys.has_admin(database, 0.0)
    made = make(database, "admin", admin=True, expires_s=NOW_S + 9)
    assert keys.has_admin(database, NOW_S)
    assert not keys.has_admin(database, NOW_S + 9)
    keys.revoke(database, made.key.id, NOW_S + 1)
    assert not keys.has_admin(database, NOW_S + 1)
    assert keys.has_admin(database, 0.0)


def test_an_unknown_id_is_not_found_and_changes_nothing(database):
    version = keys.read_version(database)
    with pytest.raises(NotFound, match="keys list"):
        keys.revoke(database, "nobody0000", NOW_S)
    with pytest.raises(NotFound):
        keys.rotate(database, PEPPER, "nobody0000", 1.0, NOW_S)
    assert keys.read_version(database) == version


def test_keys_are_listed_newest_first_with_their_last_use(database):
    first, second = (
        make(database, "first").key,
        keys.create(database, PEPPER, Scope("second"), NOW_S + 1).key,
    )
    keys.revoke(database, first.id, NOW_S + 2)
    usage.insert(database, [usage_row(n, key_id=first.id, at=float(n)) for n in range(3)], NOW_S)
    ended = msgspec.structs.replace(first, revoked_s=NOW_S + 2)
    assert keys.listed(database, 10) == [ListedKey(second, None), ListedKey(ended, 2.0)]
    assert keys.listed(database, 1) == [ListedKey(second, None)]


def test_a_key_long_dead_is_forgotten_by_the_table(database):
    revoked, expired = make(database), make(database, expires_s=NOW_S + 1)
    keys.revoke(database, revoked.key.id, NOW_S)
    for secret in (revoked.secret, expired.secret):
        assert identify(database, secret, NOW_S + keys.DEAD_KEYS_S - 1) is not None
        assert identify(database, secret, NOW_S + keys.DEAD_KEYS_S + 1) is None


@pytest.mark.parametrize(
    ("scope", "param"),
    [
        (Scope(""), "name"),
        (Scope("  "), "name"),
        (Scope("n" * 201), "name"),
        (Scope("n", models=()), "models"),
        (Scope("n", models=("",)), "models"),
        (Scope("n", models=("m",) * 201), "models"),
        (Scope("n", expires_s=NOW_S), "expires_s"),
        (Scope("n", user_id="nobody"), "user_id"),
        (Scope("n", team_id="nowhere"), "team_id"),
        (Scope("n", limits=Limits(requests_per_day=0)), "limits.requests_per_day"),
        (Scope("n", expires_s=float("nan")), "expires_s"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_by_the_name_of_the_field(database, scope, param):
    with pytest.raises(InvalidValue) as refused:
        keys.create(database, PEPPER, scope, NOW_S)
    assert refused.value.param == param
    assert keys.listed(database, 10) == []


def test_there_are_only_so_many_live_keys(database):
    insert = queries.load("keys")["insert_key"]
    with database.transaction():
        database.run_many(
            insert,
            [
                (str(n), "n", str(n), "[]", False, 0.0, None, "", "", "{}", "", "")
                for n in range(LIVE_KEYS_MAX)
            ],
        )
    with pytest.raises(InvalidValue, match="Revoke some"):
        make(database)
    keys.revoke(database, "7", NOW_S)
    make(database)


def test_keys_are_searched_page_by_page(database):
    teams.create(database, Team("core", "Core", UNLIMITED, NOW_S), "cli")
    users.create(database, User("ada", "Ada", "core", UNLIMITED, NOW_S), "cli")
    owners = {"One": {"user_id": "ada"}, "two!": {"team_id": "core"}, "100%": {}}
    made = {}
    for later_s, (name, owner) in enumerate(owners.items()):
        scope = Scope(name, **owner)
        made[name] = keys.create(database, PEPPER, scope, NOW_S + later_s).key
    keys.revoke(database, made["100%"].id, NOW_S + 5)

    def names(limit=10, **said):
        found = keys.search(database, keys.Search(limit, NOW_S + 9, **said))
        return [one.key.name for one in found]

    assert names() == ["100%", "two!", "One"]
    assert names(words="ONE") == ["One"]
    assert names(words=made["One"].id) == names(user="ada") == names(words="ada") == ["One"]
    assert names(words="%") == names(state="ended") == ["100%"]
    assert names(words="!") == ["two!"]
    assert names(words="_") == []
    assert names(team="core", state="live") == ["two!", "One"]
    assert names(limit=1) == ["100%"]
    two = made["two!"]
    assert names(before_s=two.created_s, before_id=two.id) == ["One"]
