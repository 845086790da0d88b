"""A whole database as a file, and back. Rule: of either kind into either kind, every value exactly.

The file is lines of JSON: a head with the schema, one array `[table, [values]]` for each row, table by
table, and a foot with the number of rows of each table. It holds digests of keys, but no secret and
no pepper.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, InvalidValue, LedgerUnavailable
from gatemill.ledger import pepper, queries, schema
from gatemill.ledger.sqlite import Database as Sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.ledger.database import Database

FORMAT = 1
READ_ROWS = 50  # at a time: kept answers may have 4 MiB each
WRITE_ROWS = 1_000  # of one transaction
WRITE_BYTES = 8 << 20  # of their lines
LINE_BYTES_MAX = 64 << 20
_MIGRATIONS = "migrations"  # the target has its own
_BYTES = ("bytea", "blob")

Tables = dict[str, dict[str, str]]  # the kind of every column of every table


class Head(Struct, frozen=True, tag="gatemill-export", tag_field="what"):
    """The first line."""

    format: int
    schema: int
    tables: Tables


class Foot(Struct, frozen=True, tag="end", tag_field="what"):
    """The last line: a file without it was cut off."""

    rows: dict[str, int]


_LINE = msgspec.json.Decoder(tuple[str, list[Any]])
_HEAD = msgspec.json.Decoder(Head)
_FOOT = msgspec.json.Decoder(Foot)


def export(database: Database, file: IO[bytes]) -> dict[str, int]:
    """The rows of each table, all as they were at one moment; the file holds them. Raises OSError."""
    with database.snapshot():
        tables = _tables(database)
        version = schema.version(database)
        _write(file, Head(FORMAT, version, tables))
        rows = {name: _export(database, name, columns, file) for name, columns in tables.items()}
        _write(file, Foot(rows))
    return rows


def read_head(file: IO[bytes]) -> Head:
    """What the file says of itself. Raises InvalidValue for another file."""
    try:
        head = _HEAD.decode(file.readline(LINE_BYTES_MAX))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValue("This is no export of a Gatemill database.", param="file") from error
    if head.format != FORMAT:
        raise InvalidValue(
            f"The file has format {head.format}, this Gatemill reads {FORMAT}. Use the Gatemill that"
            " wrote it.",
            param="file",
        )
    return head


def import_(database: Database, file: IO[bytes], pepper_mark: str | None) -> dict[str, int]:
    """The rows of each table; the database, which was empty and is current, holds what the file does.

    `pepper_mark` is that of the pepper at hand, None to take any. Raises InvalidValue for a file that
    is not whole, of another schema or another pepper, with nothing changed; Conflict when the
    database is not empty; LedgerUnavailable when it failed midway.
    """
    head = read_head(file)
    _check_schema(database, head)
    wanted = _sound(file, head, pepper_mark)
    seeded = _seeded()
    _check_empty(database, head.tables, seeded)
    file.seek(0)
    _import(database, _rows(file, read_head(file)), head.tables, seeded)
    rows = count_rows(database)
    if any(rows[table] != count for table, count in wanted.items()):
        raise LedgerUnavailable(
            "The database does not hold what the file does. Does another program write there? Make a"
            " new empty database and import again."
        )
    return wanted


def count_rows(database: Database) -> dict[str, int]:
    """The number of rows of each table."""
    return {table: _count(database, table) for table in _tables(database)}


def _tables(database: Database) -> Tables:
    return {name: kinds for name, kinds in database.tables().items() if name != _MIGRATIONS}


def _count(database: Database, table: str) -> int:
    return int(database.rows(queries.of_table("count_rows", table))[0]["rows"])


def _export(database: Database, table: str, kinds: dict[str, str], file: IO[bytes]) -> int:
    count = 0
    every = queries.of_table("every_row", table, tuple(kinds))
    for batch in database.batches(every, READ_ROWS):
        for row in batch:
            values = [_portable(row[column], kind) for column, kind in kinds.items()]
            _write(file, (table, values))
        count += len(batch)
    return count


def _portable(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "boolean":
        return bool(value)  # SQLite's are 0 and 1
    return base64.b64encode(value).decode() if kind in _BYTES else value


def _native(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return base64.b64decode(value) if kind in _BYTES else value


def _write(file: IO[bytes], line: object) -> None:
    file.write(msgspec.json.encode(line) + b"\n")


def _rows(file: IO[bytes], head: Head) -> Iterator[tuple[str, list[Any], int]]:
    """The rows after the head, each with its table and the bytes of its line; then the foot, checked."""
    counts = dict.fromkeys(head.tables, 0)
    number = 1
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        if line.startswith(b"{"):
            break
        try:
            table, values = _LINE.decode(line)
            kinds = head.tables[table]
            values = [_native(v, k) for v, k in zip(values, kinds.values(), strict=True)]
        except (msgspec.DecodeError, UnicodeDecodeError, LookupError, ValueError) as error:
            raise _damaged(number) from error
        counts[table] += 1
        yield table, values, len(line)
    try:
        foot = _FOOT.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(number) from error
    if foot.rows != counts or file.read(1):
        raise _damaged(number)


def _sound(file: IO[bytes], head: Head, pepper_mark: str | None) -> dict[str, int]:
    """The number of rows of each table, once the whole file was read and nothing is wrong with it."""
    counts = dict.fromkeys(head.tables, 0)
    for table, values, _ in _rows(file, head):
        counts[table] += 1
        if table != "facts" or pepper_mark is None:
            continue
        fact = dict(zip(head.tables[table], values, strict=True))
        if fact["name"] == pepper.MARK and fact["value"] != pepper_mark:
            raise InvalidValue(
                "The keys in the file belong to another pepper. Copy the file `pepper` from the data"
                " directory that the export was made with into this one, and import again.",
                param="file",
            )
    return counts


def _damaged(number: int) -> InvalidValue:
    return InvalidValue(
        f"Line {number} of the file is not what it should be, or the file was cut off there. Copy or"
        " export it again.",
        param="file",
    )


def _check_schema(database: Database, head: Head) -> None:
    version = schema.version(database)
    if head.schema != version or head.tables != _tables(database):
        raise InvalidValue(
            f"The file has schema version {head.schema}, the database {version}. Upgrade the database"
            " that it came from with `gatemill db upgrade`, and export it again.",
            param="file",
        )


def _check_empty(database: Database, tables: Tables, seeded: dict[str, int]) -> None:
    for table in tables:
        if _count(database, table) > seeded[table]:
            raise Conflict(
                f"The database is not empty: its table {table} has rows. Import into a new one,"
                " before the first start of Gatemill there.",
                param="database",
            )


def _seeded() -> dict[str, int]:
    """The rows that the schema itself brings along, by table."""
    fresh = Sqlite(Path(":memory:"), writes=True)
    fresh.migrate(queries.migrations(), 0.0)
    rows = count_rows(fresh)
    fresh.close()
    return rows


def _import(
    database: Database,
    rows: Iterator[tuple[str, list[Any], int]],
    tables: Tables,
    seeded: dict[str, int],
) -> None:
    for table in tables:
        if seeded[table]:
            database.run(queries.of_table("remove_rows", table))
    block: list[tuple[Any, ...]] = []
    at, size = "", 0
    for table, values, length in rows:
        if block and (table != at or len(block) >= WRITE_ROWS or size >= WRITE_BYTES):
            _add(database, at, tuple(tables[at]), block)
            block, size = [], 0
        at = table
        size += length
        block.append(tuple(values))
    if block:
        _add(database, at, tuple(tables[at]), block)


def _add(
    database: Database, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    with database.transaction():
        database.run_many(queries.of_table("add_row", table, columns), rows)
