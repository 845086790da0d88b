"""The key of the first start. Rule: made only on loopback, and only where no admin key was ever made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gatemill.core.errors import StartRefused
from gatemill.ledger.keys import public_id

if TYPE_CHECKING:
    from gatemill.ledger.ledger import Ledger

FILE = "dev.key"


async def ensure_dev_key(ledger: Ledger, data_dir: Path, *, wanted: bool) -> Path | None:
    """The file that holds the development key; None when there is none.

    Written with mode 0600 on the first start, if `wanted` and no admin key was ever made.
    """
    path = data_dir / FILE
    if wanted and not await ledger.has_admin():
        new = await ledger.create_key("dev", admin=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new.secret + "\n")
    return path if path.exists() else None


async def first_link(ledger: Ledger, path: Path | None, *, wanted: bool) -> str:
    """A token that signs the development key in once; "" unless `wanted` and the key is there."""
    key_id = _key_id(path) if wanted and path is not None else None
    return "" if key_id is None else await ledger.sessions.create_link(key_id, actor="start")


def _key_id(path: Path) -> str | None:
    return public_id(path.read_bytes().strip())


async def refuse_open_door(ledger: Ledger, host: str, unix_s: float) -> None:
    """Raises StartRefused when others can reach us and nobody can administer: no admin key works."""
    if await ledger.has_admin(unix_s):
        return
    raise StartRefused(
        f"{host} can be reached by others, and there is no admin key."
        " Make one first: gatemill keys create NAME --admin"
    )
