"""Rules as the scripts read them. Rule: packed once for each day, not once for each request.

All calendar windows change at midnight UTC only, so what was packed is right until then.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import msgpack

from gatemill.core.limits import Kind
from gatemill.kv.redis.connection import script
from gatemill.policy import period

if TYPE_CHECKING:
    from gatemill.core.limits import Rule

PACKED_MAX = 20_000  # sets of rules that are remembered; then they are packed anew
_KEPT_S = 7 * period.DAY_S  # a counter outlives its window, for requests that end late
_MARK = {
    Kind.CONCURRENCY: "c",
    Kind.REQUESTS: "w",
    Kind.REQUESTS_DAY: "d",
    Kind.TOKENS: "w",
    Kind.BUDGET: "b",
}
_FOLDER = Path(__file__).parent
_SHARED = (_FOLDER / "counters.lua").read_text(encoding="utf-8")

ADMIT = script(_SHARED + (_FOLDER / "admit.lua").read_text(encoding="utf-8"))
SETTLE = script(_SHARED + (_FOLDER / "settle.lua").read_text(encoding="utf-8"))
BEAT = script(_SHARED + (_FOLDER / "beat.lua").read_text(encoding="utf-8"))


class Packed:
    """A set of rules on one day."""

    __slots__ = ("data", "day", "ends_s", "has_budget", "rules", "starts_s", "used")

    def __init__(self, rules: tuple[Rule, ...], day: int) -> None:
        at_s = float(day * period.DAY_S)
        self.rules = rules
        self.day = day  # since 1970, UTC
        self.starts_s = [period.start_s(_period(rule), at_s) for rule in rules]
        self.ends_s = [period.end_s(_period(rule), at_s) for rule in rules]
        self.has_budget = any(rule.kind is Kind.BUDGET for rule in rules)
        # How much each rule counted when Redis last answered; written by the limiter.
        self.used: list[int] = []
        self.data = msgpack.encode(
            [
                _packed(rule, start_s, end_s)
                for rule, start_s, end_s in zip(rules, self.starts_s, self.ends_s, strict=True)
            ]
        )


class Packing:
    """Packed rules by the identity of their tuple, which its owner keeps."""

    __slots__ = ("by_id",)

    def __init__(self) -> None:
        self.by_id: dict[int, Packed] = {}  # bounded by PACKED_MAX

    def of(self, rules: tuple[Rule, ...], unix_s: float) -> Packed:
        """The rules on the day of `unix_s`."""
        day = int(unix_s // period.DAY_S)
        found = self.by_id.get(id(rules))
        if found is not None and found.rules is rules and found.day == day:
            return found
        if len(self.by_id) >= PACKED_MAX:
            self.by_id.clear()
        found = self.by_id[id(rules)] = Packed(rules, day)
        return found


def _period(rule: Rule) -> str:
    # Only calendar rules have a window; for the others it is never looked at.
    return rule.period or ("day" if rule.kind is Kind.REQUESTS_DAY else "total")


def _packed(rule: Rule, start_s: float, end_s: float) -> list[object]:
    name = f"{_MARK[rule.kind]}:{rule.name}"
    if rule.kind in (Kind.REQUESTS_DAY, Kind.BUDGET):
        name = f"{name}:{start_s:.0f}"
    expires_s = 0.0 if math.isinf(end_s) else end_s + _KEPT_S
    marks = [[f"{share:g}", round(share * rule.most)] for share in sorted(rule.alert_at)]
    hard = rule.hard or rule.kind is not Kind.BUDGET
    return [int(rule.kind), name, rule.most, hard, expires_s, marks]
