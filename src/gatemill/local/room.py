"""Which models leave so that another fits. Rule: nothing leaves where that would not be enough."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from gatemill.core.errors import ModelLoadFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.local.slot import Slot

_MIB = 1_048_576


def make_room(name: str, size_bytes: int, others: Sequence[Slot], limit_bytes: int) -> list[Slot]:
    """The models to unload, the longest unused first. Raises ModelLoadFailed with the numbers."""
    taken_bytes = sum(slot.memory_bytes for slot in others)
    missing_bytes = taken_bytes + size_bytes - limit_bytes
    leaving: list[Slot] = []
    for slot in sorted((slot for slot in others if slot.is_evictable), key=attrgetter("used_s")):
        if missing_bytes <= 0:
            break
        leaving.append(slot)
        missing_bytes -= slot.memory_bytes
    if missing_bytes > 0:
        kept = [slot for slot in others if slot.memory_bytes and slot not in leaving]
        raise ModelLoadFailed(
            f"The model `{name}` takes about {_mib(size_bytes)}, and local models may take"
            f" {_mib(limit_bytes)} together{_besides(kept)}. Raise serving.memory_bytes, or unload another."
        )
    return leaving


def _besides(kept: Sequence[Slot]) -> str:
    if not kept:
        return ""
    names = ", ".join(f"`{slot.spec.name}` ({_mib(slot.memory_bytes)})" for slot in kept[:5])
    more = f" and {len(kept) - 5} more" if len(kept) > 5 else ""
    return f"; in use: {names}{more}"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:,.0f} MiB"
