"""The money of one budget in one calendar window: what is spent, and what requests hold.

Rule: integers of micro-dollars. `spent` begins with what the ledger says and is never estimated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatemill.core.limits import Rule


_NEVER = 1 << 62  # more micro-dollars than anybody has


class Purse:
    """Spent and held micro-dollars of requests that arrived from `from_s` until `until_s`."""

    __slots__ = ("_rule", "_share", "_tell_from", "before", "from_s", "spent", "until_s", "used")

    def __init__(self, from_s: float, until_s: float, spent: int) -> None:
        self.spent = spent
        self.used = spent  # spent and held
        self.from_s = from_s
        self.until_s = until_s
        self.before: Purse | None = None  # the window before, for requests that arrived then
        self._share = -1.0  # the largest share that somebody was told of
        self._rule: Rule | None = None  # the rule from which `_tell_from` comes
        self._tell_from = 0  # micro-dollars spent at which somebody has to be told again

    def take(self, amount: int) -> int:
        """What is spent and held with `amount` more held."""
        self.used += amount
        return self.used

    def settle(self, rule: Rule, held: int, actual: int) -> bool:
        """Of what was held, `held` is free and `actual` is spent. True: ask what was `reached`."""
        self.spent += actual
        self.used += actual - held
        return self.spent >= self._tell_from or rule is not self._rule

    def reached(self, rule: Rule) -> list[float]:
        """Shares of the rule's limit that `spent` has reached since this was asked the last time."""
        open_shares = [share for share in sorted(rule.alert_at) if share > self._share]
        new = [share for share in open_shares if self.spent >= round(share * rule.most)]
        if new:
            self._share = new[-1]
        left = open_shares[len(new) :]
        self._rule = rule
        self._tell_from = round(left[0] * rule.most) if left else _NEVER
        return new

    def is_idle(self, now_s: float) -> bool:
        """The window is over and nothing is held in it, nor in the one before."""
        before = self.before
        if self.until_s > now_s or self.used != self.spent:
            return False
        return before is None or before.used == before.spent
