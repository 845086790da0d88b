"""Configuration errors: where, what, and what was probably meant. Rule: no value of a secret is printed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Origin(NamedTuple):
    """Where a value came from, as people read it: "gatemill.toml:12", "env GATEMILL_X", "default"."""

    text: str
    line: int = 0  # 0: not in the file


class ConfigError(NamedTuple):
    """One thing to repair."""

    origin: Origin
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.origin.text, self.path, self.message) if part)


class ConfigErrors(Exception):
    """Everything wrong with a configuration, by line; what is not in the file comes last."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(
            sorted(set(errors), key=lambda e: (not e.origin.line, e.origin.line, str(e)))
        )
        super().__init__("\n".join(map(str, self.errors)))


def path_text(path: Path) -> str:
    """A path as one would write it in TOML, with list positions as numbers."""
    parts = (str(part) for part in path)
    return ".".join(
        part if _BARE.fullmatch(part) else '"' + part.replace('"', '\\"') + '"' for part in parts
    )


def meant(word: str, known: Iterable[str]) -> str:
    """' (did you mean "x"?)' for the nearest known word, "" when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""
