"""The configurations that were in effect: a file each, for going back.

Rule: the last 20; for their owner's eyes only, because a configuration may hold keys. Several
processes may write here at once.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

KEPT_MAX = 20
UNAPPLIED = "unapplied"  # in place of a version: a text that was replaced before it took effect
_NAME = re.compile(r"(\d{6})-([0-9a-z]+)-(\d+)\.toml")


class Entry(NamedTuple):
    """One configuration that was kept."""

    number: int  # counts up, never used twice
    version: str
    unix_s: int  # when it took effect
    path: Path

    @property
    def text(self) -> bytes:
        """The file as it was. Raises OSError."""
        return self.path.read_bytes()


class History:
    """The folder of kept configurations, made when the first one is kept."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "config"

    def entries(self) -> list[Entry]:
        """What is kept, the newest first."""
        found = [(path, _NAME.fullmatch(path.name)) for path in self._folder.glob("*.toml")]
        kept = [Entry(int(m[1]), m[2], int(m[3]), path) for path, m in found if m]
        return sorted(kept, reverse=True)

    def find(self, number: int) -> Entry | None:
        """The entry of that number."""
        return next((entry for entry in self.entries() if entry.number == number), None)

    def applied(self) -> list[Entry]:
        """Those that were in effect, the newest first."""
        return [entry for entry in self.entries() if entry.version != UNAPPLIED]

    def before(self, text: bytes) -> Entry | None:
        """The newest that was in effect and reads otherwise: where a rollback leads from `text`."""
        return next((entry for entry in self.applied() if entry.text != text), None)

    def add(self, text: bytes, version: str, unix_s: float) -> Entry:
        """The text is kept; the newest entry, if that says the same. Raises OSError."""
        # One by one: of a folder with parents, mkdir keeps others out of the last alone.
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            kept = self.entries()
            if kept and kept[0].version == version and kept[0].text == text:
                return kept[0]
            number = kept[0].number + 1 if kept else 1
            path = self._folder / f"{number:06}-{version}-{int(unix_s)}.toml"
            replace(path, text, mode=0o600)
            for old in kept[KEPT_MAX - 1 :]:
                old.path.unlink(missing_ok=True)
        return Entry(number, version, int(unix_s), path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def replace(path: Path, text: bytes, *, mode: int) -> None:
    """The file holds `text`: whole, on disk, at once. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(fd, mode)  # whatever the umask says
            os.fsync(fd)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
