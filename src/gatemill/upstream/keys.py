"""The keys of one provider, used in turn; one that was refused rests.

Rule: a key is never shown beyond its last four characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_SHOWN = 4  # characters of a secret that may be seen, of one that is longer than twice that


class PoolKey(Struct, eq=False):
    """One key. Written by its pool."""

    headers: tuple[tuple[str, str], ...]  # that carry it
    shown: str
    rests_until_s: float = float("-inf")  # monotonic


class KeyPool:
    """Several keys of one provider, shared by its targets."""

    def __init__(
        self,
        provider: str,
        secrets: Sequence[str],
        headers_for: Callable[[str], tuple[tuple[str, str], ...]],
    ) -> None:
        """`headers_for` gives the headers that carry a secret, as this provider wants them."""
        assert secrets, "a pool without a key is None"
        self.provider = provider
        self.keys = [PoolKey(headers_for(secret), shown(secret)) for secret in secrets]
        self._next = 0  # whose turn it is

    def take(self, now_s: float, but: Collection[PoolKey] = ()) -> PoolKey | None:
        """The next key that does not rest and is none of `but`; None when there is none."""
        keys = self.keys
        count = len(keys)
        for step in range(count):
            at = (self._next + step) % count
            key = keys[at]
            if key.rests_until_s <= now_s and key not in but:
                self._next = at + 1
                return key
        return None

    def soonest(self) -> PoolKey:
        """The key whose rest ends first, whether it rests or not."""
        soonest = self.keys[0]
        for key in self.keys:
            if key.rests_until_s < soonest.rests_until_s:
                soonest = key
        return soonest

    def rest(self, key: PoolKey, seconds: float, now_s: float, why: str) -> None:
        """`key` is left out for so long."""
        if key.rests_until_s <= now_s:
            structlog.get_logger().warning(
                "provider_key_rests",
                provider=self.provider,
                key=key.shown,
                why=why,
                seconds=round(seconds, 3),
            )
        key.rests_until_s = max(key.rests_until_s, now_s + seconds)

    def resting(self, now_s: float) -> int:
        """How many keys rest."""
        return sum(key.rests_until_s > now_s for key in self.keys)

    def wakes_s(self, now_s: float) -> float:
        """Seconds until a key may be used; 0 when one may."""
        return max(0.0, self.soonest().rests_until_s - now_s)

    def adopt(self, old: KeyPool) -> None:
        """Keys that are in `old` too are the same here: after a reload they go on resting."""
        known = {key.headers: key for key in old.keys}
        self.keys = [known.get(key.headers, key) for key in self.keys]


def shown(secret: str) -> str:
    """What people may see of a secret."""
    return f"...{secret[-_SHOWN:]}" if len(secret) > 2 * _SHOWN else "..."
