"""Vector stores and their documents: making, filling, searching, answering from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger


class Desk:
    """One for the house."""

    def __init__(self, ledger: Ledger, gateway: Gateway) -> None:
        self._ledger = ledger
        self._gateway = gateway
