"""Money. Rule: integers; micro-dollars in the ledger, pico-dollars per token in a price."""

from __future__ import annotations

PICO_PER_MICRO = 1_000_000


def microusd(pico: int) -> int:
    """Micro-dollars for pico-dollars, half up. The only rounding of a cost; called by settle."""
    return (pico + PICO_PER_MICRO // 2) // PICO_PER_MICRO


def dollars(amount_microusd: int) -> str:
    """An amount for people: six decimals, because most calls cost less than a cent."""
    sign = "-" if amount_microusd < 0 else ""
    whole, part = divmod(abs(amount_microusd), 1_000_000)
    return f"{sign}${whole}.{part:06d}"
