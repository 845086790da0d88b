"""What SQLite alone has; tests/contract/test_database.py is the rest."""

from contextlib import ExitStack, closing

import pytest

import databases
import readers
from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger import queries
from gatemill.ledger.place import Place
from gatemill.ledger.sqlite import Database


def test_a_commit_is_on_the_disk_and_readers_are_not_held_up(tmp_path):
    with databases.migrated(Place(path=tmp_path / "gatemill.db")) as database:
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


def test_a_file_that_is_no_database_is_named_with_a_remedy(tmp_path):
    (tmp_path / "gatemill.db").write_bytes(b"my holiday pictures" * 100)
    with pytest.raises(LedgerUnavailable, match=r"gatemill\.db cannot be used \(SQLITE_NOTADB\)"):
        Database(tmp_path / "gatemill.db", writes=True)


def test_what_was_deleted_is_in_no_file_once_nobody_reads(tmp_path):
    place = Place(path=tmp_path / "gatemill.db")
    word = "quetzalcoatlus" * 2_000
    with databases.migrated(place) as database, databases.migrated(place) as reader:
        add = queries.literal("add", f"INSERT INTO facts (name, value) VALUES ('w', '{word}')")
        database.run(add)
        assert database.overwrite(0.25)
        assert b"quetzal" in place.path.read_bytes()
        with reader.snapshot():
            assert reader.rows(queries.literal("look", "SELECT name FROM facts WHERE name = 'w'"))
            database.run(queries.literal("drop", "DELETE FROM facts WHERE name = 'w'"))
            assert not database.overwrite(0.25)
        assert database.overwrite(0.25)
        assert not [file for file in tmp_path.iterdir() if b"quetzal" in file.read_bytes()]


ADD = queries.literal("add", "INSERT INTO facts (name, value) VALUES ('w', '')")
CHANGE = queries.literal("change", "UPDATE facts SET value = :value WHERE name = 'w'")
LOOK = queries.literal("look", "SELECT count(*) AS facts FROM facts")


def change(database, number):
    database.run(CHANGE, {"value": str(number % 10) * 1_000_000})
    return database.log_bytes()


def test_the_log_does_not_end_while_one_read_begins_before_another_has_ended(tmp_path):
    # Why there is an end to it in the next test, and in upkeep.py.
    place = Place(path=tmp_path / "gatemill.db")
    with ExitStack() as stack:
        database = stack.enter_context(databases.migrated(place))
        database.run(ADD)
        turns = [stack.enter_context(closing(place.open(writes=False))) for _ in range(2)]
        reads = [stack.enter_context(ExitStack())]
        for number in range(30):
            reads.append(stack.enter_context(ExitStack()))
            reads[-1].enter_context(turns[number % 2].snapshot())
            turns[number % 2].rows(LOOK)
            reads.pop(0).close()
            size = change(database, number)
    assert size > 30 * 1_000_000


def test_the_log_can_be_cut_although_somebody_always_reads(tmp_path):
    place = Place(path=tmp_path / "gatemill.db")
    with databases.migrated(place) as database, readers.always(place):
        database.run(ADD)
        for number in range(40):
            if change(database, number) > 6 << 20:
                assert database.overwrite(30.0)
                assert database.log_bytes() == 0
            assert database.log_bytes() < 8 << 20
