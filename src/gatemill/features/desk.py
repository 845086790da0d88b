"""Feature sets, and their values. Rule: a request never waits longer for them than it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.clock import Clock
    from gatemill.ledger.ledger import Ledger


class Desk:
    """One for the house. Satisfies gateway.parts.Facts."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def resolve(self, call: Call, *, keep: bool) -> dict[str, Any]:
        """The features of `call.head.entities`."""
        return {}

    async def refresh(self) -> None:
        """What the database says now is served here. Raises LedgerUnavailable and Overloaded."""
