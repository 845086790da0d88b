"""What one can do with experiments. Rule: who gets which arm is a pure function; nothing is kept for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.experiments.table import Table
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger


class Desk:
    """One for the house."""

    def __init__(
        self, ledger: Ledger, gateway: Gateway, table: Table, publish: Callable[[], None]
    ) -> None:
        """`publish` serves what the table says now."""
        self._ledger = ledger
        self._gateway = gateway
        self.table = table
        self._publish = publish

    async def refresh(self) -> None:
        """What the database says now is served here. Raises LedgerUnavailable and Overloaded."""
