"""The key of the first start. Rule: made only on loopback, and only where no admin key was ever made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gatemill.core.errors import StartRefused

if TYPE_CHECKING:
    from gatemill.ledger.ledger import Ledger

FILE = "dev.key"
_LOOK_AT = 1000  # newest keys that are searched for one that works


async def ensure_dev_key(ledger: Ledger, data_dir: Path, *, wanted: bool) -> Path | None:
    """The file that holds the development key; None when there is none.

    Written with mode 0600 on the first start, if `wanted` and no admin key was ever made.
    """
    path = data_dir / FILE
    made = any(listed.key.admin for listed in await ledger.list_keys(_LOOK_AT))
    if wanted and not made:
        new = await ledger.create_key("dev", admin=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new.secret + "\n")
    return path if path.exists() else None


async def refuse_open_door(ledger: Ledger, host: str, unix_s: float) -> None:
    """Raises StartRefused when others can reach us and nobody can administer: no admin key works."""
    for listed in await ledger.list_keys(_LOOK_AT):
        key = listed.key
        ended = [at for at in (key.expires_s, key.revoked_s) if at is not None and at <= unix_s]
        if key.admin and not ended:
            return
    raise StartRefused(
        f"{host} can be reached by others, and there is no admin key."
        " Make one first: gatemill keys create NAME --admin"
    )
