"""Who may not try to sign in again for a while. Rule: bounded; a full table forgets whoever failed longest ago."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

FAILURES_MAX = 10  # of one address, within WINDOW_S
WINDOW_S = 300.0
ADDRESSES_MAX = 10_000
NOTES_MAX = 60  # failures that are written to the audit log, within WINDOW_S


class Attempts:
    """Failed tries by address; those of IPv6 by their /64, which one machine has to itself."""

    def __init__(self) -> None:
        self._failed: dict[
            str, tuple[float, int]
        ] = {}  # place -> since when, how many; in that order
        self._notes: tuple[float, int] = (0.0, 0)

    def wait_s(self, address: str, now_s: float) -> float:
        """Seconds until this address may try again; 0 is now."""
        since_s, count = self._failed.get(_place(address), (now_s, 0))
        return max(0.0, since_s + WINDOW_S - now_s) if count >= FAILURES_MAX else 0.0

    def failed(self, address: str, now_s: float) -> bool:
        """Counts a failure; whether the audit log is to have it: the first of an address, and the last."""
        place = _place(address)
        since_s, count = self._failed.get(place, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            del self._failed[place]
            since_s, count = now_s, 0
        if place not in self._failed and len(self._failed) >= ADDRESSES_MAX:
            del self._failed[next(iter(self._failed))]
        self._failed[place] = (since_s, count + 1)
        return count + 1 in (1, FAILURES_MAX) and self._may_note(now_s)

    def succeeded(self, address: str) -> None:
        """Its failures are forgotten."""
        self._failed.pop(_place(address), None)

    def _may_note(self, now_s: float) -> bool:
        since_s, count = self._notes
        if now_s - since_s >= WINDOW_S:
            since_s, count = now_s, 0
        self._notes = (since_s, count + 1)
        return count < NOTES_MAX


def _place(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return found.exploded[:19] if isinstance(found, IPv6Address) else address
