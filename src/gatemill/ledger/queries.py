"""The SQL of the ledger, by name. Rule: no SQL text stands in Python.

A query in sql/<file>.sql is a line `-- name --`, a comment that says what it does, and one statement
with named parameters (`:limit`). The text is the same for every database; a driver only swaps the
parameters for what it understands: `?` for SQLite, `$1` for Postgres.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from msgspec import Struct

_FOLDER = Path(__file__).parent / "sql"
_HEADING = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$\n?", re.MULTILINE)
_VALUES = re.compile(r"VALUES (\([^()]*\))")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


class Query(Struct, frozen=True):
    """One statement, ready for a driver."""

    name: str
    about: str  # the sentence above it
    text: str  # with `:name` parameters
    question: str  # with `?` parameters
    params: tuple[str, ...]  # the names behind the question marks, in their order

    def repeated(self, rows: int) -> str:
        """An INSERT of one row as an INSERT of `rows` rows, with `?` parameters."""
        return _repeated(self.question, rows)


class Migration(Struct, frozen=True):
    """One numbered change of the schema."""

    version: int
    name: str
    statements: tuple[str, ...]


@functools.cache
def _repeated(question: str, rows: int) -> str:
    before, values, after = _VALUES.split(question)
    return before + "VALUES " + ", ".join([values] * rows) + after


def load(room: str) -> dict[str, Query]:
    """The queries of sql/<room>.sql by name."""
    parts = _HEADING.split((_FOLDER / f"{room}.sql").read_text())
    return {name: _query(name, body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def migrations() -> list[Migration]:
    """All migrations in the order of their numbers, which start at 1 and have no gaps."""
    found = []
    for path in sorted((_FOLDER / "migrations").glob("*.sql")):
        number, _, name = path.stem.partition("_")
        # A statement ends with a semicolon at the end of a line: the rule of these files.
        bare = _COMMENT.sub("", path.read_text())
        statements = tuple(part.strip() for part in bare.split(";\n") if part.strip())
        found.append(Migration(int(number), name, statements))
    assert [each.version for each in found] == list(range(1, len(found) + 1))
    return found


def _query(name: str, body: str) -> Query:
    comments = [line.removeprefix("-- ") for line in _COMMENT.findall(body)]
    text = _COMMENT.sub("", body).strip().removesuffix(";")
    return Query(
        name=name,
        about=" ".join(line.strip() for line in comments),
        text=text,
        question=_PARAMETER.sub("?", text),
        params=tuple(_PARAMETER.findall(text)),
    )
