"""The registry as this process knows it: a snapshot, replaced whole. Rule: reading it never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.model import Served
    from gatemill.gateway.parts import Filled


class Table:
    """One for the house; outlives a reload. Satisfies gateway.parts.Prompts."""

    def __init__(self) -> None:
        self.served: tuple[Served, ...] = ()  # every name of a model; replaced by the desk

    def fill(self, name: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Filled:
        """The prompt with its variables in place. Raises NotFound and InvalidValue."""
        raise NotFound(f"There is no prompt `{name[:200]}`.", param="prompt_id")
