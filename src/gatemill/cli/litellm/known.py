"""What is known of LiteLLM's vendors and options. Rule: facts come from data/litellm.toml."""

from __future__ import annotations

import functools
import tomllib
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Vendor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row; the fields are explained at the head of the file."""

    kind: str = ""
    base_url: str = ""
    key: str = ""
    base: str = ""
    path: str = ""
    instead: str = ""


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    providers: dict[str, Vendor]
    bare: dict[str, str]
    modes: dict[str, str]
    bare_modes: dict[str, str]
    needless: dict[str, str]
    otherwise: dict[str, str]

    def vendor(self, prefix: str) -> Vendor:
        """The row of a prefix; for an unknown one what to do with it."""
        return self.providers.get(prefix) or self.providers["*"]


@functools.cache
def known() -> Known:
    """All of it."""
    text = files("gatemill").joinpath("data", "litellm.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Known)


def fitting(table: Mapping[str, str], name: str) -> str | None:
    """What the table says of a name: itself first, then patterns in their order; None for nothing."""
    exact = table.get(name)
    if exact is not None:
        return exact
    return next((said for pattern, said in table.items() if fnmatchcase(name, pattern)), None)
