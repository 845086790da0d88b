"""What one can do with models, versions and aliases. Rule: an alias moves only to what has been loaded and probed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger
    from gatemill.local.shelf import Shelf
    from gatemill.registry.table import Table


class Serving(Protocol):
    """What becomes of the names of the registry; the house satisfies it."""

    shelf: Shelf

    def publish(self) -> None:
        """The names of the table, and the running experiments, are served from now on. Never waits."""
        ...

    def knows(self, provider: str) -> bool:
        """The configuration has this provider."""
        ...


class Desk:
    """One for the house."""

    def __init__(self, ledger: Ledger, gateway: Gateway, table: Table, serving: Serving) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self.table = table
        self._serving = serving

    async def refresh(self) -> None:
        """What the database says now is served here. Raises LedgerUnavailable and Overloaded."""
