"""A configuration that can be loaded again: the same file, flags and environment.

Rule: this is all that a running server knows of files; what it applies has been read whole and holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gatemill.settings.difference import Comparison, carried, compared
from gatemill.settings.discover import Lister
from gatemill.settings.errors import ConfigErrors
from gatemill.settings.history import Entry, History
from gatemill.settings.load import DEFAULT_FILE, Loaded, load
from gatemill.settings.model import Settings
from gatemill.settings.probe import listed

_READS_MAX = 3  # while somebody is writing the file


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration that holds, and the text that it was read from; b"" without a file."""

    loaded: Loaded
    text: bytes


class Source:
    """Where a server's configuration comes from, and where those that took effect are kept."""

    def __init__(
        self,
        config: Path | None,
        environ: Mapping[str, str],
        flags: Mapping[str, Any],
        lister: Lister | None = listed,
    ) -> None:
        """The arguments of `load`. Paths are relative to the folder that this is called in."""
        self.config = config
        self._environ = environ
        self.flags = flags
        self._lister = lister
        self.file = config or Path(environ.get("GATEMILL_CONFIG") or DEFAULT_FILE)

    def load(self) -> Draft | tuple[str, ...]:
        """The configuration as it is now, or everything that is wrong with it, a line each.

        Reads files and asks servers on this machine, so it may take a second.
        """
        for _ in range(_READS_MAX):
            text = self._text()
            try:
                found = load(self.config, self._environ, self.flags, lister=self._lister)
            except ConfigErrors as error:
                return tuple(str(one) for one in error.errors)
            if self._text() == text:
                break
        return Draft(found, text)

    def load_kept(self, entry: Entry) -> Draft | tuple[str, ...]:
        """A configuration of the history, with the flags and the environment of now."""
        try:
            found = load(entry.path, self._environ, self.flags, lister=self._lister)
            return Draft(replace(found, path=self.file), entry.text)
        except ConfigErrors as error:
            return tuple(str(one) for one in error.errors)

    def load_newest(self) -> Draft | None:
        """The configuration that took effect last, where its folder is known without the file."""
        folder = self.flags.get("server.data_dir")
        newest = next(iter(History(Path(folder)).applied()), None) if folder else None
        found = self.load_kept(newest) if newest else None
        return found if isinstance(found, Draft) else None

    def load_again(self, first: Draft) -> Draft:
        """For a process that joins others: what they run, though the file may be broken meanwhile.

        `first` is what the processes began with; it decides what only a restart can change.
        """
        found = self.load()
        if not isinstance(found, Draft):
            newest = next(iter(self.history(first).applied()), None)
            found = self.load_kept(newest) if newest else first
        if not isinstance(found, Draft):
            found = first
        settings = carried(first.loaded.settings, found.loaded.settings)
        return Draft(replace(found.loaded, settings=settings), found.text)

    def compare(self, old: Settings, new: Draft) -> tuple[Comparison, Draft]:
        """What applying `new` changes, and what is then in effect."""
        result = compared(old, new.loaded.settings)
        return result, Draft(replace(new.loaded, settings=result.settings), new.text)

    def history(self, draft: Draft) -> History:
        """The kept configurations of a server that runs with `draft`."""
        return History(draft.loaded.settings.data_dir)

    @property
    def words(self) -> tuple[str, ...]:
        """The options that give another command of ours the same file and the same folder."""
        found: list[str] = []
        if self.config is not None:
            found += ["--config", str(self.config)]
        if self.flags.get("server.data_dir") is not None:
            found += ["--data-dir", str(self.flags["server.data_dir"])]
        return tuple(found)

    def _text(self) -> bytes:
        try:
            return self.file.read_bytes()
        except OSError:
            return b""
