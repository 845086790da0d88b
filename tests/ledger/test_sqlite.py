"""What SQLite alone has; tests/contract/test_database.py is the rest."""

import pytest

import databases
from gatemill.core.errors import LedgerUnavailable
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
