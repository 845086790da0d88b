"""The registry as this process knows it: a snapshot, replaced whole. Rule: reading it never waits."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import NotFound
from gatemill.core.model import ModelSpec, Served

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Key
    from gatemill.gateway.parts import Filled
    from gatemill.ledger.registry_rows import Alias, Model
    from gatemill.registry.prompts import Prompt

PRODUCTION = "production"  # what a bare name means, once there is such an alias
_NAME = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:@([a-z][a-z0-9_-]{0,62})|:([1-9]\d{0,8}))?"
)


class Base(Struct, frozen=True):
    """What serving a version takes; never changes, and is read once."""

    provider: str  # "" for a prompt
    model: str  # the provider's name for it
    spec: ModelSpec | None = None
    prompt: Prompt | None = None
    source: str = ""  # as it is stored: "mlflow:sentiment/3"
    origin: str = ""  # what that came of: "mlflow:sentiment@champion"


class Entry(Struct, frozen=True):
    """A name."""

    model: Model
    aliases: Mapping[str, Alias]
    versions: Mapping[int, Base]  # those that are served, by number, rising

    def number(self, alias: str = "", number: int = 0) -> int:
        """The version that is meant; 0 when there is none."""
        if number:
            return number if number in self.versions else 0
        if alias:
            found = self.aliases.get(alias)
            return found.version if found is not None else 0
        if PRODUCTION in self.aliases:
            return self.aliases[PRODUCTION].version
        return max(self.versions, default=0)


class Table:
    """One for the house; outlives a reload. Satisfies gateway.parts.Prompts."""

    def __init__(self) -> None:
        self.served: tuple[Served, ...] = ()  # every name of a model; replaced by the desk
        self.entries: Mapping[str, Entry] = {}  # the same
        # Names that mean another version by now, which could not be loaded here: why. By the desk.
        self.failed: Mapping[str, str] = {}
        self.lock = asyncio.Lock()  # held by whoever replaces these
        # What the desk does by itself between two looks of the house; ended by its `close`.
        self.chore: asyncio.Task[None] | None = None
        self.chore_due_s = 0.0  # monotonic

    def fill(self, name: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Filled:
        """The prompt with its variables in place. Raises NotFound and InvalidValue."""
        return self.prompt(name).fill(variables, facts)

    def check(self, name: str, key: Key | None) -> None:
        """Raises NotFound: for a prompt that is another team's the same as for none."""
        found = self.find(name)
        if found is not None and not _may_use(key, found[0].model.team_id):
            raise _no_prompt(name)

    def prompt(self, name: str) -> Prompt:
        """The prompt that "greet", "greet@production" or "greet:3" means. Raises NotFound."""
        found = self.find(name)
        base = None if found is None else found[0].versions.get(found[1])
        if base is None or base.prompt is None:
            raise _no_prompt(name)
        return base.prompt

    def find(self, text: str) -> tuple[Entry, int] | None:
        """The entry and the version that a name means; None when it means nothing."""
        parts = split(text)
        entry = self.entries.get(parts[0]) if parts else None
        if parts is None or entry is None:
            return None
        number = entry.number(parts[1], parts[2])
        return (entry, number) if number else None


def _may_use(key: Key | None, team_id: str) -> bool:
    if not team_id:
        return True
    return key is not None and (key.team_id == team_id or key.may("admin:read"))


def _no_prompt(name: str) -> NotFound:
    return NotFound(
        f"There is no prompt `{name[:200]}`. `gatemill prompts ls` lists them.", param="prompt_id"
    )


def split(text: str) -> tuple[str, str, int] | None:
    """Name, alias and number of "greet", "greet@production" or "greet:3"; None for anything else."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    return found[1], found[2] or "", int(found[3] or 0)


def served_of(entries: Mapping[str, Entry]) -> dict[str, Served]:
    """Every name of a model that callers may say, and what answers to it."""
    found: dict[str, Served] = {}
    for name, entry in entries.items():
        if entry.model.kind != "model":
            continue
        meant = {f"{name}:{number}": number for number in entry.versions}
        meant |= {f"{name}@{alias}": entry.number(alias) for alias in entry.aliases}
        meant[name] = entry.number()
        for said, number in meant.items():
            base = entry.versions.get(number)
            if base is not None:
                version = f"{name}:{number}"
                found[said] = Served(said, version, base.provider, base.model, base.spec)
    return found
