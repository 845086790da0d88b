"""One child for all processes of this machine: who owns it, and where the others find it.

Rule: whoever holds the lock starts and ends the child; the lock ends with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from gatemill.local.probing import Address

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.core.model import ModelSpec


class Place:
    """The files of one model in `data_dir/runners`: NAME-KEY.lock, .json and .log.

    Models that differ in anything but their name have places of their own. All methods are file
    operations of a few microseconds.
    """

    def __init__(self, folder: Path, spec: ModelSpec) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()[:12]
        shown = "".join(c if c.isascii() and c.isalnum() else "-" for c in spec.name)[:40]
        stem = f"{shown}-{key}"
        self.log = folder / f"{stem}.log"
        self._note = folder / f"{stem}.json"
        self._lock = folder / f"{stem}.lock"
        self._held: int | None = None  # the descriptor of the lock, while it is ours

    def take(self) -> bool:
        """The child is ours to start; False when another process has it."""
        if self._held is not None:
            return True
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._held = descriptor
        self._note.unlink(missing_ok=True)  # of an owner that is gone
        return True

    def tell(self, address: Address) -> None:
        """The others find the child there."""
        assert self._held is not None
        written = self._note.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(address))
        written.chmod(0o600)  # it holds the token
        written.replace(self._note)

    def told(self) -> Address | None:
        """Where the owner's child listens; None while it does not say."""
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._note.read_bytes(), type=Address)
        return None

    def release(self) -> None:
        """Somebody else may own the child. Nothing happens when it is not ours."""
        if self._held is not None:
            self._note.unlink(missing_ok=True)
            os.close(self._held)
            self._held = None
