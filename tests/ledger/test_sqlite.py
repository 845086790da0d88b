import sqlite3
from pathlib import Path

import pytest

from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.ledger import queries
from gatemill.ledger.queries import Migration
from gatemill.ledger.sqlite import Database, database_path

SCHEMA = queries.load("schema")
KEYS = queries.load("keys")
FACT = {"name": "colour", "value": "green"}


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "gatemill.db", writes=True)
    opened.migrate(queries.migrations(), now_s=1000.0)
    yield opened
    opened.close()


def facts(path):
    with sqlite3.connect(path) as other:
        found = other.execute("SELECT name, value FROM facts").fetchall()
    other.close()
    return found


def test_a_commit_is_on_the_disk_and_readers_are_not_held_up(database):
    pragmas = {
        name: database._connection.execute(f"PRAGMA {name}").fetchone()[column]
        for name, column in {
            "journal_mode": "journal_mode",
            "synchronous": "synchronous",
            "foreign_keys": "foreign_keys",
            "busy_timeout": "timeout",
        }.items()
    }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }


def test_a_migration_is_recorded_with_its_time(database, tmp_path):
    with sqlite3.connect(tmp_path / "gatemill.db") as other:
        found = other.execute("SELECT version, name, applied_s FROM migrations").fetchall()
    other.close()
    assert found == [(1, "keys_and_usage", 1000.0)]


def test_migrating_again_changes_nothing(database):
    assert database.migrate(queries.migrations(), now_s=2000.0) == 1
    assert database.rows(SCHEMA["schema_version"]) == [{"version": 1}]


def test_a_database_newer_than_the_code_is_refused(database):
    newer = Migration(2, "from_the_future", ("CREATE TABLE later (id BIGINT)",))
    database.migrate([*queries.migrations(), newer], now_s=2000.0)
    with pytest.raises(LedgerUnavailable, match=r"version 2.*up to 1.*newer Gatemill"):
        database.migrate(queries.migrations(), now_s=3000.0)


def test_a_migration_that_fails_leaves_nothing_behind(database, tmp_path):
    broken = Migration(2, "broken", ("CREATE TABLE later (id BIGINT)", "CREATE TABLE later (x"))
    with pytest.raises(LedgerUnavailable):
        database.migrate([*queries.migrations(), broken], now_s=2000.0)
    assert database.rows(SCHEMA["schema_version"]) == [{"version": 1}]
    with sqlite3.connect(tmp_path / "gatemill.db") as other:
        assert not other.execute("SELECT 1 FROM sqlite_schema WHERE name = 'later'").fetchall()
    other.close()


def test_a_transaction_is_seen_by_others_after_it_ended(database, tmp_path):
    with database.transaction():
        database.run(SCHEMA["set_fact"], FACT)
        assert facts(tmp_path / "gatemill.db") == []
    assert facts(tmp_path / "gatemill.db") == [("colour", "green")]


def test_a_transaction_that_raises_never_happened(database, tmp_path):
    def change_and_fail():
        with database.transaction():
            database.run(SCHEMA["set_fact"], FACT)
            raise LookupError

    with pytest.raises(LookupError):
        change_and_fail()
    with database.transaction():
        pass  # the next one can begin
    assert facts(tmp_path / "gatemill.db") == []


def test_a_value_that_does_not_fit_is_the_callers_fault(database):
    row = dict.fromkeys(KEYS["insert_key"].params, 1)
    database.run(KEYS["insert_key"], row)
    with pytest.raises(InvalidValue) as repeated:
        database.run(KEYS["insert_key"], row)
    with pytest.raises(InvalidValue):
        database.run(KEYS["insert_key"], row | {"created_s": 2**70})
    assert repeated.value.param == "insert_key"


def test_a_reading_connection_cannot_write(database, tmp_path):
    reader = Database(tmp_path / "gatemill.db", writes=False)
    with pytest.raises(LedgerUnavailable):
        reader.run(SCHEMA["set_fact"], FACT)
    reader.close()


def test_a_file_that_is_no_database_is_named_with_a_remedy(tmp_path):
    (tmp_path / "gatemill.db").write_bytes(b"my holiday pictures" * 100)
    with pytest.raises(LedgerUnavailable, match=r"gatemill\.db cannot be used \(SQLITE_NOTADB\)"):
        Database(tmp_path / "gatemill.db", writes=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "/data/gatemill.db"),
        ("", "/data/gatemill.db"),
        ("sqlite:///other.db", "/data/other.db"),
        ("sqlite:////srv/ledger.db", "/srv/ledger.db"),
    ],
)
def test_the_database_lies_in_the_data_directory_unless_the_url_says_otherwise(url, path):
    assert database_path(Path("/data"), url) == Path(path)


@pytest.mark.parametrize("url", ["postgresql://host/db", "gatemill.db", "sqlite:///"])
def test_another_kind_of_database_is_refused_by_the_name_of_the_option(url):
    with pytest.raises(InvalidValue, match=r"sqlite:///") as refused:
        database_path(Path("/data"), url)
    assert refused.value.param == "stores.database"
