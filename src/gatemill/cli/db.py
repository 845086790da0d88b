"""`gatemill db`: the database as a whole. Rule: nothing that has rows is overwritten."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import ExitStack, contextmanager
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.ledger_access import AsJson, Config, DataDir, located, with_ledger
from gatemill.cli.terminal import note, print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from time import struct_time

    from gatemill.cli.bar import Bar
    from gatemill.ledger.database import Database
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.place import Place

_SHOWN_BYTES = 64 << 20  # of a copy; a smaller one takes no time

app = typer.Typer(
    help="Upgrade, back up, move and look at the database.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("upgrade")
def upgrade(config: Config = None, data_dir: DataDir = None) -> None:
    """Bring the schema up to date, as every start does. Makes the database if there is none."""
    folder, place = located(config, data_dir, makes=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(place, writes=True) as database:
        before = _version(database)
        after = _migrated(database)
    was = f", was {before}" if before != after else ""
    print_text(f"{place.shown}: schema version {after}{was}")


@app.command("status")
def status(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the database: place, schema, rows of each table."""
    from gatemill.ledger import queries, transfer

    _, place = located(config, data_dir)
    with _opened(place, writes=False) as database:
        version, rows = _version(database), transfer.count_rows(database)
    newest = queries.migrations()[-1].version
    if as_json:
        print_json({"database": place.shown, "schema": version, "newest": newest, "rows": rows})
        return
    print_text(place.shown)
    hint = "" if version == newest else f" of {newest}: gatemill db upgrade"
    print_text(f"schema version {version}{hint}")
    print_table(("TABLE", "ROWS"), [(name, str(count)) for name, count in rows.items()])


@app.command("export")
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write; it must not exist yet.")
    ],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write the whole database to a file. Keys, people, usage, everything but the pepper."""
    from gatemill.cli.bar import Bar
    from gatemill.cli.counted import megabytes
    from gatemill.ledger import transfer

    _, place = located(config, data_dir)

    async def settled(ledger: Ledger, now_s: float) -> None:
        await ledger.flushed()  # also what a process left behind that died

    with_ledger(config, data_dir, settled)
    with ExitStack() as stack:
        bar = stack.enter_context(Bar())
        out = stack.enter_context(_new_file(file, megabytes(bar, None)))
        rows = transfer.export(stack.enter_context(_opened(place, writes=False)), out)
    note(f"{file}: {sum(rows.values())} rows of {len(rows)} tables from {place.shown}.")
    note("Keys work only with the file `pepper` of the data directory: keep a copy of it as well.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File from `gatemill db export`.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Fill an empty database from such a file. Either may be SQLite or Postgres."""
    from gatemill.cli.bar import Bar
    from gatemill.cli.counted import Counted, megabytes
    from gatemill.ledger import pepper

    folder, place = located(config, data_dir, makes=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = folder / "pepper"
    mark = pepper.mark(pepper.read_or_create(own)) if own.exists() else None
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", fix="name a file") from error
    with Bar() as bar:
        # It is read twice: is it whole, then what is in it.
        show = megabytes(bar, 2 * os.fstat(descriptor).st_size)
        with BufferedReader(Counted(descriptor, "rb", show)) as source:
            rows = _imported(place, source, mark)
    note(f"{place.shown}: {sum(rows.values())} rows of {len(rows)} tables from {file}.")
    if mark is None:
        note(f"Before the first start, copy the file `pepper` of the old data directory to {own}.")


def _imported(place: Place, source: IO[bytes], mark: str | None) -> dict[str, int]:
    from gatemill.ledger import transfer

    with _opened(place, writes=True) as database:
        _migrated(database)
        return transfer.import_(database, source, mark)


@app.command("backup")
def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write; it must not exist yet.")
    ],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Copy the database while it is used. As it is at one moment, checked, on the disk."""
    from gatemill.cli.bar import Bar
    from gatemill.ledger import backup

    path = _file(located(config, data_dir)[1])
    with Bar() as bar:
        made = backup.back_up(path, file, _megabytes(bar))
    note(
        f"{file}: {made.bytes / 1e6:,.1f} MB of {path}, schema version {made.schema}, whole and on the disk."
    )
    note("It has what was committed when this began; a running server's last 0.1 s may be missing.")
    note("Keys work only with the file `pepper` of the data directory: keep a copy of it as well.")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File from `gatemill db backup`.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Put it in the place of a database, which is kept aside."),
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Put a backup in the place of the database; the server must not run."""
    from gatemill.cli.bar import Bar
    from gatemill.ledger import backup

    folder, place = located(config, data_dir, makes=True)
    path = _file(place)
    if not file.is_file():
        raise Failure(f"there is no file {file}", fix="name a file from gatemill db backup", code=2)
    if path.is_symlink():  # it stays, and what it leads to is replaced
        path = path.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _fits(file, folder / "pepper")
    stamp = _stamp(path, time.gmtime())
    aside = None
    if path.exists():
        if not force:
            fix = "gatemill db restore FILE --force keeps the old one beside the new"
            raise Failure(f"there is a database at {path}", fix=fix)
        aside = path.with_name(f"{path.name}.{stamp}")
    with backup.alone(folder), Bar() as bar:
        found = backup.put_back(file, path, aside, _megabytes(bar))
        rows = backup.set_aside(folder, stamp)
    note(f"{path}: {found.bytes} bytes from {file}, schema version {found.schema}.")
    if aside is not None:
        note(f"The database that was there is {aside}.")
    if rows is not None:
        note(f"What a killed server had not yet written to it is in {rows}, and counts no more.")


def _stamp(path: Path, now: struct_time) -> str:
    """What the name of the database that was there ends with; no other of that second has it."""
    made = f"before-{time.strftime('%Y%m%dT%H%M%SZ', now)}"
    names = itertools.chain((made,), (f"{made}-{number}" for number in itertools.count(2)))
    return next(one for one in names if not path.with_name(f"{path.name}.{one}").exists())


def _megabytes(bar: Bar) -> Callable[[int, int], None]:
    """How far a copy is; of a small one nothing."""

    def show(now: int, whole: int) -> None:
        if whole >= _SHOWN_BYTES:
            bar.show(now >> 20, whole >> 20, "MB")

    return show


def _fits(file: Path, own: Path) -> None:
    """The keys in the file belong to the pepper at hand, or there is none yet. Raises InvalidValue."""
    from gatemill.core.errors import InvalidValue
    from gatemill.ledger import backup, pepper

    mark = backup.look(file).pepper_mark
    if not own.exists():
        note(f"Before the first start, copy the `pepper` that belongs to {file} to {own}.")
    elif mark and mark != pepper.mark(pepper.read_or_create(own)):
        raise InvalidValue(
            f"The keys in {file} belong to another pepper than {own}. Put the one from the same day"
            " there, and restore again.",
            param="file",
        )


def _file(place: Place) -> Path:
    if place.path is None:
        raise Failure(
            f"{place.shown} is a Postgres database",
            fix="pg_dump and pg_restore are for it; gatemill db export FILE writes what both kinds read",
        )
    return place.path


def _version(database: Database) -> int:
    from gatemill.ledger import schema

    return schema.version(database) if "migrations" in database.tables() else 0


def _migrated(database: Database) -> int:
    from gatemill.core.clock import SystemClock
    from gatemill.ledger import queries

    return database.migrate(queries.migrations(), SystemClock().unix_s())


@contextmanager
def _opened(place: Place, *, writes: bool) -> Iterator[Database]:
    if writes and place.path is not None:
        place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = place.open(writes=writes)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _new_file(path: Path, show: Callable[[int], None]) -> Iterator[IO[bytes]]:
    """A file for its owner only; gone again if the block fails. `show` is told its megabytes."""
    from gatemill.cli.counted import Counted

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Failure(f"{path} exists already", fix="name another file, or move it away") from error
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
    with ExitStack() as failed:
        failed.callback(path.unlink, missing_ok=True)
        with BufferedWriter(Counted(descriptor, "wb", show)) as file:
            yield file
        failed.pop_all()
