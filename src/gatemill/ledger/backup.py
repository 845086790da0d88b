"""A database file as a whole, while others write it, and back. Rule: SQLite alone; nothing half has the final name.

A copy is made inside one read transaction: it holds what was committed when it began, and all of it,
however long it takes and whatever is written meanwhile. Writers do not wait for it; their log grows.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import Conflict, InvalidValue, LedgerUnavailable
from gatemill.ledger import holds, journal, mapped, pepper, queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Show = Callable[[int, int], None]  # bytes so far, of how many

PAGES = 512  # copied at a time: 2 MiB
BUSY_S = 5.0

_SQL = queries.load("schema")
_TABLES = queries.load("catalog")["sqlite_columns"].question


class Copied(Struct, frozen=True):
    """What a file holds."""

    bytes: int
    schema: int
    pepper_mark: str  # "" in one that was never opened by a server
    tables: int


def back_up(source: Path, target: Path, show: Show) -> Copied:
    """`target`, which did not exist, is a whole copy of the database, checked and on the disk.

    Raises Conflict when `target` exists, and LedgerUnavailable.
    """
    with _translated(source), _draft(target) as draft:
        with closing(_opened(source, "rw")) as old, closing(_opened(draft, "rw")) as new:
            old.execute("BEGIN")
            old.execute(
                _SQL["schema_version"].question
            ).fetchall()  # from here on it sees no changes
            _copy(old, new, show)
            new.execute(
                "PRAGMA journal_mode = DELETE"
            ).fetchall()  # one file, without a log beside it
        return look(draft)


def look(path: Path) -> Copied:
    """What is in a database file, which is whole. Raises InvalidValue for any other."""
    try:
        with closing(_opened(path, "ro")) as database:
            faults = [row[0] for row in database.execute("PRAGMA integrity_check(1)")]
            if faults != ["ok"]:
                raise InvalidValue(f"The file {path} is damaged: {faults[0]}.", param="file")
            tables = {row[0] for row in database.execute(_TABLES)}
            if not {"migrations", "facts", "keys"} <= tables:
                raise InvalidValue(f"The file {path} is no Gatemill database.", param="file")
            (version,) = database.execute(_SQL["schema_version"].question).fetchone()
            mark = database.execute(_SQL["read_fact"].question, (pepper.MARK,)).fetchone()
            return Copied(path.stat().st_size, version, mark[0] if mark else "", len(tables))
    except (sqlite3.Error, OSError) as error:
        raise InvalidValue(
            f"The file {path} cannot be read as a database ({type(error).__name__}).", param="file"
        ) from error


def put_back(backup: Path, target: Path, aside: Path | None, show: Show) -> Copied:
    """`target` is what `backup` holds. What was there is at `aside`; None where nothing was.

    Raises Conflict when somebody has the old database open.
    """
    found = look(backup)
    newest = queries.migrations()[-1].version
    if found.schema > newest:
        raise InvalidValue(
            f"The file has schema version {found.schema}, this Gatemill knows versions up to {newest}."
            " Install the Gatemill that made it.",
            param="file",
        )
    with _translated(target):
        if aside is not None:
            _fold(target)
        owner = (target if aside is not None else target.parent).stat()
        with _draft(target, aside) as draft:
            with closing(_opened(backup, "ro")) as old, closing(_opened(draft, "rw")) as new:
                _copy(old, new, show)
            look(draft)
            if os.geteuid() == 0:  # the server is somebody else, as a rule
                os.chown(draft, owner.st_uid, owner.st_gid)
    return found


def set_aside(data_dir: Path, stamp: str) -> Path | None:
    """Where rows are now that dead processes had not brought into the old database; None: there are none.

    They would go into the one that has come back, at the next start. Raises LedgerUnavailable.
    """
    folder = data_dir / "journal"
    left = [one for suffix in (journal.SUFFIX, holds.SUFFIX) for one in folder.glob(f"*{suffix}")]
    if not left:
        return None
    place = data_dir / f"journal.{stamp}"
    with _translated(folder):
        place.mkdir(mode=0o700, exist_ok=True)
        for path in left:
            path.replace(place / path.name)
    return place


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Nobody has a ledger open in the data directory, and nobody opens one. Raises Conflict."""
    with (data_dir / "opening.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(data_dir) from error
        for suffix in (journal.SUFFIX, holds.SUFFIX):
            files = sorted((data_dir / "journal").glob(f"*{suffix}"))
            orphans = 0
            for _, fd in mapped.orphans(data_dir / "journal", suffix):
                os.close(fd)
                orphans += 1
            if orphans < len(files):
                raise _in_use(data_dir)
        yield


def _in_use(place: Path) -> Conflict:
    return Conflict(
        f"A Gatemill runs on {place}. Stop the server and its workers first.", param="database"
    )


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_S)


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, show: Show) -> None:
    (page_bytes,) = old.execute("PRAGMA page_size").fetchone()

    def told(_status: int, left: int, pages: int) -> None:
        show((pages - left) * page_bytes, pages * page_bytes)

    old.backup(new, pages=PAGES, progress=told, sleep=0.01)


def _fold(path: Path) -> None:
    """The database is one file that nobody has open. Raises Conflict."""
    with closing(_opened(path, "rw")) as database:
        try:
            # This needs the file for itself, and takes the log into it.
            (mode,) = database.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as error:
            raise _in_use(path) from error
        except sqlite3.DatabaseError as error:
            raise Conflict(
                f"The database {path} is damaged. Move it away, with the files {path.name}-wal and"
                f" {path.name}-shm if they are there, and restore without --force.",
                param="database",
            ) from error
    if mode != "delete":
        raise _in_use(path)


@contextmanager
def _draft(target: Path, aside: Path | None = None) -> Iterator[Path]:
    """A file for its owner only, which has the name `target` after the block, wholly on the disk.

    What has that name is called `aside` then; at every moment one of the two has it.
    """
    if aside is None:
        # A log that was left behind would be played into the new file.
        for path in (target, *_beside(target, ("-wal", "-journal"))):
            if path.exists():
                raise _exists(path)
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
        _sync(draft)
        if aside is None:
            _name(draft, target)
        else:
            _name(target, aside)
            draft.replace(target)
        _sync(target.parent)
    finally:
        for path in (draft, *_beside(draft, ("-wal", "-shm", "-journal"))):
            path.unlink(missing_ok=True)


def _beside(path: Path, suffixes: Sequence[str]) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in suffixes]


def _name(path: Path, other: Path) -> None:
    # A link fails where the name exists; a rename would overwrite.
    try:
        os.link(path, other)
    except FileExistsError as error:
        raise _exists(other) from error


def _exists(path: Path) -> Conflict:
    return Conflict(f"{path} exists already. Name another file, or move it away.", param="file")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "sqlite_errorname", None) or getattr(error, "strerror", None)
        raise LedgerUnavailable(
            f"The database {path} could not be copied ({reason or type(error).__name__}). Check that"
            " the disk has room for it, and that this user may write there."
        ) from error
