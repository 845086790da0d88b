"""What SQLite and Postgres have in common for the ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import databases
from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.ledger import queries
from gatemill.ledger.queries import Migration, literal

SCHEMA = queries.load("schema")
KEYS = queries.load("keys")
PEOPLE = queries.load("people")
STEPS = queries.migrations()
NEWEST = STEPS[-1].version
FACT = {"name": "colour", "value": "green"}
TEAM = {"id": "core", "name": "Core", "limits": "{}", "created_s": 7.0, "guards": ""}
READ_MIGRATIONS = literal("m", "SELECT version, name, applied_s FROM migrations ORDER BY version")
READ_FACTS = literal("f", "SELECT name, value FROM facts ORDER BY name")
SET_FACT = SCHEMA["set_fact"]
STARTERS = 6


@pytest.fixture(params=databases.KINDS)
def bare(request, tmp_path):
    """A place without a schema."""
    with databases.empty(request.param, tmp_path, bare=True) as found:
        yield found


@pytest.fixture
def database(place):
    with databases.migrated(place) as opened:
        yield opened


@pytest.fixture
def other(place, database):
    """A second connection, as another process has."""
    opened = place.open(writes=False)
    yield opened
    opened.close()


def key(key_id="k", **columns):
    row = {"id": key_id, "name": "n", "digest": f"d-{key_id}", "models": "[]", "admin": True}
    more = {"created_s": 1.5, "expires_s": None, "user_id": "", "team_id": "", "limits": "{}"}
    return row | more | {"scopes": "", "guards": ""} | columns


def test_every_step_of_the_schema_is_recorded_with_its_time(database):
    assert database.rows(READ_MIGRATIONS) == [
        {"version": step.version, "name": step.name, "applied_s": databases.MADE_S}
        for step in STEPS
    ]


def test_migrating_again_changes_nothing(database):
    before = database.tables()
    assert database.migrate(STEPS, now_s=2000.0) == NEWEST
    assert database.tables() == before
    assert {row["applied_s"] for row in database.rows(READ_MIGRATIONS)} == {databases.MADE_S}


def test_an_older_schema_gets_the_missing_steps_only(bare):
    opened = bare.open(writes=True)
    assert opened.migrate(STEPS[:1], now_s=1.0) == 1
    assert "teams" not in opened.tables()
    assert opened.migrate(STEPS, now_s=2.0) == NEWEST
    assert [row["applied_s"] for row in opened.rows(READ_MIGRATIONS)][:2] == [1.0, 2.0]
    opened.close()


def test_a_database_newer_than_the_code_is_refused(database):
    newer = Migration(NEWEST + 1, "from_the_future", ("CREATE TABLE later (id BIGINT)",))
    database.migrate([*STEPS, newer], now_s=2000.0)
    words = rf"version {NEWEST + 1}.*up to {NEWEST}.*newer Gatemill"
    with pytest.raises(LedgerUnavailable, match=words):
        database.migrate(STEPS, now_s=3000.0)


def test_a_step_that_fails_leaves_nothing_behind(database):
    statements = ("CREATE TABLE later (id BIGINT)", "CREATE TABLE later (x")
    broken = Migration(NEWEST + 1, "broken", statements)
    with pytest.raises(LedgerUnavailable):
        database.migrate([*STEPS, broken], now_s=2000.0)
    assert database.rows(SCHEMA["schema_version"]) == [{"version": NEWEST}]
    assert "later" not in database.tables()


def test_processes_that_start_together_migrate_once(bare):
    together = Barrier(STARTERS)

    def start(number):
        opened = bare.open(writes=True)
        try:
            together.wait(30.0)
            return opened.migrate(STEPS, now_s=float(number))
        finally:
            opened.close()

    bare.open(writes=True).close()  # two that make an SQLite file at once are kept apart elsewhere
    with ThreadPoolExecutor(STARTERS) as threads:
        assert set(threads.map(start, range(STARTERS))) == {NEWEST}
    reader = bare.open(writes=False)
    assert len(reader.rows(READ_MIGRATIONS)) == NEWEST
    reader.close()


def test_a_transaction_is_seen_by_others_after_it_ended(database, other):
    with database.transaction():
        database.run(SET_FACT, FACT)
        assert other.rows(READ_FACTS) == []
    assert other.rows(READ_FACTS) == [FACT]


def test_a_transaction_that_raises_never_happened(database, other):
    def change_and_fail():
        with database.transaction():
            database.run(SET_FACT, FACT)
            raise LookupError

    with pytest.raises(LookupError):
        change_and_fail()
    with database.transaction():
        pass  # the next one can begin
    assert other.rows(READ_FACTS) == []


def test_a_transaction_after_a_refused_one_is_whole(database, other):
    def change_and_fail():
        with database.transaction():
            database.run(SET_FACT, FACT)
            database.run(KEYS["insert_key"], key(name=None))

    with pytest.raises(InvalidValue):
        change_and_fail()
    with database.transaction():
        database.run(SET_FACT, FACT | {"value": "red"})
    assert other.rows(READ_FACTS) == [FACT | {"value": "red"}]


@pytest.mark.parametrize(
    "row",
    [key("there"), key("other", digest="d-there"), key(name=None), key(created_s=None)],
    ids=["the same id", "the same digest", "no name", "no time"],
)
def test_a_value_that_breaks_a_rule_is_the_callers_fault(database, row):
    database.run(KEYS["insert_key"], key("there"))
    with pytest.raises(InvalidValue) as refused:
        database.run(KEYS["insert_key"], row)
    assert refused.value.param == "insert_key"
    assert "there" not in str(refused.value).removesuffix(" or is there already.")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**70])
def test_a_number_that_does_not_fit_is_the_callers_fault(database, value):
    with pytest.raises(InvalidValue) as refused:
        database.rows(PEOPLE["list_teams"], {"limit": value})
    assert str(value) not in str(refused.value)


def test_a_text_that_is_no_unicode_is_the_callers_fault(database):
    with pytest.raises(InvalidValue):
        database.run(PEOPLE["insert_team"], TEAM | {"name": "\ud800"})


def test_values_come_back_as_they_went_in(database):
    wanted = {
        "name": "Zoë 🦆 'x' \"y\" $1 :name ? %s",
        "created_s": 1_763_700_000.123457,
        "limits": "x" * 100_000,
    }
    database.run(PEOPLE["insert_team"], TEAM | wanted)
    assert database.rows(PEOPLE["read_team"], {"id": "core"}) == [TEAM | wanted]


def test_a_text_with_a_character_0_is_stored(database):
    database.run(PEOPLE["insert_team"], TEAM | {"name": "a\0b"})
    (found,) = database.rows(PEOPLE["read_team"], {"id": "core"})
    assert found["name"] in {"a\0b", "a\ufffdb"}


def test_true_and_false_come_back(database):
    for admin in (True, False):
        database.run(KEYS["insert_key"], key(f"{admin}", admin=admin))
        (found,) = database.rows(KEYS["read_key"], {"id": f"{admin}"})
        assert bool(found["admin"]) is admin
        assert found["expires_s"] is None


def test_a_statement_says_how_many_rows_it_changed(database):
    assert database.run(SET_FACT, FACT) == 1
    assert database.run(SET_FACT, FACT) == 0
    assert database.run(PEOPLE["delete_team"], {"id": "nobody"}) == 0


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 221, 1_000])
def test_many_rows_go_in_and_those_that_are_there_stay(database, count):
    database.run(SET_FACT, {"name": "3", "value": "old"})
    rows = [(str(number), "new") for number in range(count)]
    assert database.run_many(SET_FACT, rows) == count - (count > 3)
    found = {row["name"]: row["value"] for row in database.rows(READ_FACTS)}
    assert found == {str(number): "new" for number in range(count)} | {"3": "old"}


def test_of_many_rows_with_a_bad_one_none_goes_in(database):
    rows = [(str(number), "v") for number in range(100)]
    rows[70] = ("70", None)

    def add():
        with database.transaction():
            database.run_many(SET_FACT, rows)

    with pytest.raises(InvalidValue):
        add()
    assert database.rows(READ_FACTS) == []


def test_a_reading_connection_cannot_write(other):
    with pytest.raises(LedgerUnavailable):
        other.run(SET_FACT, FACT)


def test_a_statement_that_makes_no_sense_says_so_without_its_text(database):
    with pytest.raises(LedgerUnavailable) as refused:
        database.rows(literal("odd", "SELECT secret_word FROM nowhere"))
    assert "secret_word" not in str(refused.value)
    assert database.rows(READ_FACTS) == []  # and the connection goes on


def test_the_schema_is_told_by_table_and_column(database):
    tables = database.tables()
    assert set(tables) >= {"keys", "teams", "users", "usage", "facts", "audit", "migrations"}
    assert tables["teams"] == {
        "id": "text",
        "name": "text",
        "limits": "text",
        "created_s": "double precision",
        "guards": "text",
    }
    assert tables["keys"]["admin"] == "boolean"
    assert tables["usage"]["cost_microusd"] == "bigint"


def test_a_snapshot_does_not_see_what_comes_meanwhile(database, other):
    database.run(SET_FACT, FACT)
    with other.snapshot():
        assert other.rows(READ_FACTS) == [FACT]
        database.run(SET_FACT, {"name": "later", "value": "x"})
        assert other.rows(READ_FACTS) == [FACT]
        assert sum(map(len, other.batches(READ_FACTS, 10))) == 1
    assert len(other.rows(READ_FACTS)) == 2


def test_batches_hold_every_row_once(database, other):
    database.run_many(SET_FACT, [(f"{number:03}", "v") for number in range(25)])
    with other.snapshot():
        found = list(other.batches(READ_FACTS, 10))
        again = list(other.batches(PEOPLE_ALL, 10))
    assert [len(batch) for batch in found] == [10, 10, 5]
    assert [row["name"] for batch in found for row in batch] == [f"{n:03}" for n in range(25)]
    assert again == []


PEOPLE_ALL = queries.of_table("every_row", "teams", ("id", "name"))


def test_closing_twice_is_closing_once(place):
    opened = place.open(writes=True)
    opened.close()
    opened.close()
