"""A copy of a database in use is a prefix of it, whole, and comes back only where nobody is."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial

import msgspec
import pytest

import databases
from crowd import until
from gatemill.core.clock import SystemClock
from gatemill.core.errors import Conflict, InvalidValue, LedgerUnavailable
from gatemill.ledger import backup, queries
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.place import Place
from usage_rows import usage_row

BACKUPS = int(os.environ.get("GATEMILL_TEST_BACKUPS", "4"))
NOW_S = 1_763_700_000.0


def quiet(_now, _whole):
    """Nobody watches."""


def attempts(path):
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT attempt_id FROM usage ORDER BY rowid")]


def wrote(ledger, count):
    return ledger.counters.rows_written > count


@pytest.fixture
def source(tmp_path):
    """A database of today that nobody has open."""
    place = Place(path=tmp_path / "gatemill.db")
    with databases.migrated(place):
        pass
    return place.path


async def test_a_backup_under_writes_is_whole_and_a_prefix_of_the_ledger(tmp_path):
    ledger = Ledger.open(tmp_path / "data", None, SystemClock())
    over = asyncio.Event()

    async def write():
        number = 0
        while not over.is_set():
            for _ in range(50):
                ledger.record(usage_row(number, at=NOW_S + number))
                number += 1
            await ledger.flushed()
        return number

    writing = asyncio.ensure_future(write())
    path, made, seen = tmp_path / "data" / "gatemill.db", [], []
    for number in range(BACKUPS):
        await until(partial(wrote, ledger, 200 * (number + 1)), 20)
        target = tmp_path / f"backup-{number}.db"
        made.append(
            await asyncio.to_thread(backup.back_up, path, target, lambda *at: seen.append(at))
        )
    over.set()
    count = await writing
    await ledger.close()
    every = attempts(path)
    assert len(every) == count
    for number, copied in enumerate(made):
        target = tmp_path / f"backup-{number}.db"
        found = attempts(target)
        assert 200 <= len(found) < count
        assert found == every[: len(found)]
        assert copied.bytes == target.stat().st_size
        assert target.stat().st_mode & 0o777 == 0o600
    assert seen[-1][0] == seen[-1][1]
    assert sorted(one.name for one in tmp_path.iterdir() if ".part" in one.name) == []


async def test_what_comes_back_is_what_was_kept_and_the_old_one_stays_beside_it(tmp_path):
    folder, path = tmp_path / "data", tmp_path / "data" / "gatemill.db"
    ledger = Ledger.open(folder, None, SystemClock())
    key = await ledger.create_key("one")
    ledger.record(usage_row("a", at=NOW_S))
    await ledger.flushed()
    backup.back_up(path, tmp_path / "kept.db", quiet)
    ledger.record(usage_row("b", at=NOW_S))
    await ledger.flushed()
    with pytest.raises(Conflict, match="A Gatemill runs on"), backup.alone(folder):
        raise AssertionError
    with pytest.raises(Conflict, match="A Gatemill runs on"):
        backup.put_back(tmp_path / "kept.db", path, folder / "old.db", quiet)
    await ledger.close()
    with backup.alone(folder):
        backup.put_back(tmp_path / "kept.db", path, folder / "old.db", quiet)
    assert attempts(folder / "old.db") == ["req_a-1", "req_b-1"]
    ledger = Ledger.open(folder, None, SystemClock())
    assert ledger.identify(key.secret.encode()) is not None
    assert [row.attempt_id for row in await ledger.recent(9)] == ["req_a-1"]
    await ledger.close()


def test_nothing_is_overwritten(source, tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(Conflict, match="exists already"):
        backup.back_up(source, tmp_path / "there", quiet)
    assert (tmp_path / "there").read_text() == "mine"
    backup.back_up(source, tmp_path / "kept.db", quiet)
    with pytest.raises(Conflict, match="exists already"):
        backup.put_back(tmp_path / "kept.db", source, tmp_path / "there", quiet)
    assert backup.look(source).schema == len(queries.migrations())


@pytest.mark.parametrize("spoil", ["no database", "cut off", "damaged", "another's", "newer"])
def test_what_is_no_good_backup_changes_nothing(source, tmp_path, spoil):
    kept = tmp_path / "kept.db"
    backup.back_up(source, kept, quiet)
    data = kept.read_bytes()
    if spoil == "no database":
        kept.write_text("hello")
    elif spoil == "cut off":
        kept.write_bytes(data[: len(data) // 2])
    elif spoil == "damaged":
        kept.write_bytes(data[:8192] + bytes(4096 * 8) + data[8192 + 4096 * 8 :])
    else:
        with closing(sqlite3.connect(kept)) as database:
            made = (
                "DROP TABLE keys"
                if spoil == "another's"
                else "UPDATE migrations SET version = 99 WHERE version = 1"
            )
            database.execute(made)
            database.commit()
    before = source.read_bytes()
    with pytest.raises(
        InvalidValue, match=r"cannot be read|damaged|no Gatemill database|schema version 99"
    ):
        backup.put_back(kept, source, tmp_path / "old.db", quiet)
    assert source.read_bytes() == before
    assert not (tmp_path / "old.db").exists()


def test_a_disk_without_room_leaves_nothing_behind(source, tmp_path):
    with pytest.raises(LedgerUnavailable, match="could not be copied"):
        backup.back_up(source, tmp_path / "nowhere" / "kept.db", quiet)
    limit = source.stat().st_size // 2
    code = (
        "import resource, signal, pathlib, sys\n"
        "from gatemill.ledger import backup\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "backup.back_up(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), lambda *_: None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, source, tmp_path / "kept.db"], capture_output=True, check=False
    )
    assert b"LedgerUnavailable" in done.stderr
    assert [one.name for one in tmp_path.iterdir() if "kept" in one.name] == []


def test_a_backup_that_is_killed_leaves_no_half_under_its_name(source, tmp_path):
    with closing(sqlite3.connect(source)) as database:  # more than is copied at a time
        database.execute("CREATE TABLE much (data BLOB)")
        database.executemany("INSERT INTO much VALUES (?)", [(b"x" * (1 << 20),)] * 8)
        database.commit()
    target = tmp_path / "kept.db"
    code = (
        "import os, signal, pathlib, sys\n"
        "from gatemill.ledger import backup\n"
        "killed = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "backup.back_up(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), killed)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, source, target], check=False)
    assert done.returncode == -signal.SIGKILL
    (half,) = tmp_path.glob("*.part")
    assert 0 < half.stat().st_size < 8 << 20
    assert not target.exists()
    assert backup.back_up(source, target, quiet).bytes > 8 << 20


async def test_what_a_killed_server_left_in_its_journal_does_not_go_into_what_came_back(tmp_path):
    folder = tmp_path / "data"
    ledger = Ledger.open(folder, None, SystemClock())
    await ledger.close()
    assert backup.set_aside(folder, "never") is None
    backup.back_up(folder / "gatemill.db", tmp_path / "kept.db", quiet)
    left = folder / "journal" / "7-00000000.jsonl"
    left.write_bytes(msgspec.json.encode(usage_row("late", at=NOW_S)) + b"\n")
    with backup.alone(folder):
        backup.put_back(tmp_path / "kept.db", folder / "gatemill.db", folder / "old.db", quiet)
        assert backup.set_aside(folder, "then") == folder / "journal.then"
    ledger = Ledger.open(folder, None, SystemClock())
    assert await ledger.recent(9) == []
    await ledger.close()
    assert b"late" in (folder / "journal.then" / left.name).read_bytes()


def test_a_log_that_was_left_behind_is_not_played_into_what_comes_back(source, tmp_path):
    backup.back_up(source, tmp_path / "kept.db", quiet)
    target = tmp_path / "new.db"
    (tmp_path / "new.db-wal").write_bytes(b"of another")
    with pytest.raises(Conflict, match=r"new\.db-wal exists"):
        backup.put_back(tmp_path / "kept.db", target, None, quiet)
    with pytest.raises(Conflict, match=r"new\.db-wal exists"):
        backup.back_up(source, target, quiet)
    assert not target.exists()


def test_a_damaged_database_in_the_way_is_called_so(source, tmp_path):
    backup.back_up(source, tmp_path / "kept.db", quiet)
    source.write_bytes(b"no database" * 1000)
    with pytest.raises(Conflict, match="is damaged"):
        backup.put_back(tmp_path / "kept.db", source, tmp_path / "old.db", quiet)
