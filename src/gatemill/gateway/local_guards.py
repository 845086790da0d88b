"""The guards that are patterns. Rule: none is loaded, nor RE2, before somebody asks for a guard."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatemill.gateway.guards import Known, Local

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

NAMES = ("pii", "secrets", "injection")
_PII = NAMES[0]


def known_of(own: Mapping[str, str], own_bytes_max: int, hooks: Collection[str]) -> Known:
    """What scopes may ask for; `own` are further kinds of pii with their expressions."""
    return Known(Locals(own, own_bytes_max), frozenset(hooks))


class Locals(Mapping[str, Local]):
    """The guards by name, loaded when one of them is looked at."""

    def __init__(self, own: Mapping[str, str], own_bytes_max: int) -> None:
        self._own = own
        self._own_bytes_max = own_bytes_max

    def __getitem__(self, name: str) -> Local:
        """A guard; KeyError for a name that is none."""
        return self._guards[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a guard; loads nothing."""
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(NAMES)

    def __len__(self) -> int:
        """How many there are."""
        return len(NAMES)

    @cached_property
    def _guards(self) -> dict[str, Local]:
        return {name: self._loaded(name) for name in NAMES}

    def _loaded(self, name: str) -> Local:
        module: Any = import_module(f"gatemill.guards.{name}")
        if name != _PII:
            return Local(tuple(module.KINDS), module.THRESHOLD, module.patterns)
        patterns = partial(module.patterns, own=self._own, own_bytes_max=self._own_bytes_max)
        return Local((*module.KINDS, *self._own), module.THRESHOLD, patterns)
