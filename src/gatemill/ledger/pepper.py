"""The pepper: 32 secret bytes beside the database. Rule: it is written once, whole, for its owner only."""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.ledger import queries

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.ledger.database import Database

PEPPER_BYTES = 32
MARK = "pepper_mark"  # the fact that says which pepper a database belongs to

_SQL = queries.load("schema")
_READ_FACT = _SQL["read_fact"]
_SET_FACT = _SQL["set_fact"]


def read_or_create(path: Path) -> bytes:
    """The pepper in the file, which is made if it is missing. Raises LedgerUnavailable."""
    try:
        if not path.exists():
            _create(path)
        pepper = path.read_bytes()
    except OSError as error:
        raise LedgerUnavailable(
            f"The pepper file {path} cannot be read or made. Give this user access to it."
        ) from error
    return checked(pepper, str(path))


def checked(pepper: bytes, param: str) -> bytes:
    """The pepper itself, when it is long enough. Raises InvalidValue."""
    if len(pepper) < PEPPER_BYTES:
        raise InvalidValue(
            f"The pepper {param} has {len(pepper)} bytes; it needs at least {PEPPER_BYTES}."
            " Restore it from a backup: without it, no key of this database works.",
            param=param,
        )
    return pepper


def bind(database: Database, pepper: bytes) -> None:
    """The database belongs to this pepper. Raises LedgerUnavailable when it belongs to another.

    Without this check, a lost pepper would look like a thousand wrong keys.
    """
    own = mark(pepper)
    with database.transaction():
        database.run(_SET_FACT, {"name": MARK, "value": own})
        stored = database.rows(_READ_FACT, {"name": MARK})[0]["value"]
    if stored != own:
        raise LedgerUnavailable(
            "The pepper does not belong to this database, so none of its keys would work. Copy the"
            " file `pepper` here from the data directory of the host that made the database, or"
            " from a backup; all hosts that share a database share the pepper. A new database takes"
            " the pepper of its first start."
        )


def mark(pepper: bytes) -> str:
    """What a database says of its pepper: it tells two apart and gives nothing away."""
    return hmac.digest(pepper, b"gatemill: this pepper's database", "sha256").hex()


def _create(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, secrets.token_bytes(PEPPER_BYTES))
        os.fsync(fd)
    finally:
        os.close(fd)
    # A link fails when the name exists: of two processes that start together, one wins, and nobody
    # ever reads half a pepper.
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
