"""The SQL of the ledger, by name. Rule: no SQL text stands in Python.

A query in sql/<file>.sql is a line `-- name --`, a comment that says what it does, and one statement
with named parameters (`:limit`). The text is the same for every database; a driver only swaps the
parameters for what it understands: `?` for SQLite, `$1` for Postgres. A word in braces is a piece of the same
file, which stands there above under `-- {name} --` because several queries say it; or it is about row locks, which
SQLite neither has nor needs: there it becomes nothing.
"""

from __future__ import annotations

import re
import sys
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = Path(__file__).parent / "sql"
_HEADING = re.compile(r"^-- (\w+|\{\w+\}) --$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$\n?", re.MULTILINE)
_VALUES = re.compile(r"VALUES (\([^()]*\))")
_NUMBER = re.compile(r"\$(\d+)")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
LOCKS = {
    "locked": " FOR UPDATE",  # the rows are ours until the transaction ends
    "skip_locked": " FOR UPDATE SKIP LOCKED",  # the same, without the rows that are another's
}
_LOCK = re.compile(r"\s*\{(" + "|".join(LOCKS) + r")\}")


class Query:
    """One statement, ready for a driver; a form of it is made when it is first asked for."""

    def __init__(self, name: str, source: str) -> None:
        """`source` is the statement with `:name` parameters, words in braces, and its comment."""
        self.name = name
        self._source = source

    @property
    def about(self) -> str:
        """The sentence above it."""
        lines = _COMMENT.findall(self._source)
        return " ".join(line.removeprefix("-- ").strip() for line in lines)

    @property
    def text(self) -> str:
        """Without its comment, as it is written."""
        return _COMMENT.sub("", self._source).strip().removesuffix(";")

    @cached_property
    def question(self) -> str:
        """With `?` parameters."""
        return _PARAMETER.sub("?", _LOCK.sub("", self.text))

    @cached_property
    def params(self) -> tuple[str, ...]:
        """The names behind the question marks, in their order."""
        return tuple(map(sys.intern, _PARAMETER.findall(self.text)))

    @cached_property
    def dollar(self) -> str:
        """With `$1` parameters."""
        once = self.dollar_params
        locking = _LOCK.sub(lambda found: LOCKS[found[1]], self.text)
        return _PARAMETER.sub(lambda found: f"${once.index(found[1]) + 1}", locking)

    @cached_property
    def dollar_params(self) -> tuple[str, ...]:
        """The names behind $1, $2 ...: a name has one number."""
        return tuple(dict.fromkeys(self.params))

    def repeated(self, rows: int) -> str:
        """An INSERT of one row as an INSERT of `rows` rows, with `?` parameters."""
        return _repeated(self.question, rows)

    def repeated_dollar(self, rows: int) -> str:
        """The same with `$1` parameters; only its VALUES may have any, each name once."""
        return _repeated_dollar(self.dollar, len(self.dollar_params), rows)


class Migration(Struct, frozen=True):
    """One numbered change of the schema."""

    version: int
    name: str
    statements: tuple[str, ...]


@cache
def _repeated(question: str, rows: int) -> str:
    before, values, after = _VALUES.split(question)
    return before + "VALUES " + ", ".join([values] * rows) + after


@cache
def _repeated_dollar(dollar: str, width: int, rows: int) -> str:
    before, values, after = _VALUES.split(dollar)
    lines = (
        _NUMBER.sub(lambda found, at=row * width: f"${int(found[1]) + at}", values)
        for row in range(rows)
    )
    return before + "VALUES " + ", ".join(lines) + after


def load(room: str) -> dict[str, Query]:
    """The queries of sql/<room>.sql by name."""
    parts = _HEADING.split((_FOLDER / f"{room}.sql").read_text())
    pieces: dict[str, str] = {}
    found: dict[str, Query] = {}
    for name, said in zip(parts[1::2], parts[2::2], strict=True):
        body = said
        for piece, text in pieces.items():
            body = body.replace(piece, text)
        if name.startswith("{"):
            pieces[name] = _COMMENT.sub("", body).strip()
        else:
            found[name] = Query(name, body)
    return found


def migrations() -> list[Migration]:
    """All migrations in the order of their numbers, which start at 1 and have no gaps."""
    return list(_migrations())


@cache
def _migrations() -> tuple[Migration, ...]:
    found = []
    for path in sorted((_FOLDER / "migrations").glob("*.sql")):
        number, _, name = path.stem.partition("_")
        # A statement ends with a semicolon at the end of a line: the rule of these files.
        bare = _COMMENT.sub("", path.read_text())
        statements = tuple(part.strip() for part in bare.split(";\n") if part.strip())
        found.append(Migration(int(number), name, statements))
    assert [each.version for each in found] == list(range(1, len(found) + 1))
    return tuple(found)


def literal(name: str, text: str) -> Query:
    """A statement that stands in no file under this name: a step of the schema, a whole table."""
    return Query(name, text)


def of_table(name: str, table: str, columns: Sequence[str] = ()) -> Query:
    """A statement of sql/catalog.sql for a table and columns of the schema."""
    values = ", ".join(f":{column}" for column in columns)
    text = _catalog()[name].text.format(table=table, columns=", ".join(columns), values=values)
    return literal(f"{name}_of_{table}", text)


@cache
def _catalog() -> dict[str, Query]:
    return load("catalog")
