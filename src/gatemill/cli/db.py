"""`gatemill db`: the database as a whole. Rule: nothing that has rows is overwritten."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.ledger_access import AsJson, Config, DataDir, located, with_ledger
from gatemill.cli.terminal import note, print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.ledger.database import Database
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.place import Place

app = typer.Typer(
    help="Upgrade, move and look at the database.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("upgrade")
def upgrade(config: Config = None, data_dir: DataDir = None) -> None:
    """Bring the schema up to date, as every start does; make the database if there is none."""
    folder, place = located(config, data_dir, makes=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(place, writes=True) as database:
        before = _version(database)
        after = _migrated(database)
    was = f", was {before}" if before != after else ""
    print_text(f"{place.shown}: schema version {after}{was}")


@app.command("status")
def status(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show where the database is, the version of its schema, and how many rows its tables have."""
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
    print_table(("TABLE", "$ROWS"), [(name, str(count)) for name, count in rows.items()])


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write the whole database to a file: keys, people, usage, everything but the pepper."""
    from gatemill.ledger import transfer

    _, place = located(config, data_dir)

    async def settled(ledger: Ledger, now_s: float) -> None:
        await ledger.flushed()  # also what a process left behind that died

    with_ledger(config, data_dir, settled)
    with _new_file(file) as out, _opened(place, writes=False) as database:
        rows = transfer.export(database, out)
    note(f"{file}: {sum(rows.values())} rows of {len(rows)} tables from {place.shown}.")
    note("Keys work only with the file `pepper` of the data directory: keep a copy of it as well.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="File from `gatemill db export`.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Fill an empty database from a file, of whichever kind the two databases are."""
    from gatemill.ledger import pepper, transfer

    folder, place = located(config, data_dir, makes=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = folder / "pepper"
    mark = pepper.mark(pepper.read_or_create(own)) if own.exists() else None
    try:
        source = file.open("rb")
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from error
    with source, _opened(place, writes=True) as database:
        _migrated(database)
        rows = transfer.import_(database, source, mark)
    note(f"{place.shown}: {sum(rows.values())} rows of {len(rows)} tables from {file}.")
    if mark is None:
        note(f"Before the first start, copy the file `pepper` of the old data directory to {own}.")


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
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file for its owner only; gone again if the block fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Failure(f"{path} exists already", fix="name another file, or move it away") from error
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
    with ExitStack() as failed:
        failed.callback(path.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as file:
            yield file
        failed.pop_all()
