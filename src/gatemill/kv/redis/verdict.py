"""What an answer of admit.lua means.

Rule: the script counts; who waits how long is said here, with the same functions of `policy` that the
engine of one process uses.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError
from gatemill.core.limits import Kind, Refusal, Standing
from gatemill.core.tasks import spawn
from gatemill.policy.window import SLOT_S, SPAN_S, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.limits import Rule, Spent
    from gatemill.kv.redis.packing import Packed
    from gatemill.kv.redis.wire import Reply

BUSY_S = 1.0  # a guess: when a request under way ends, nobody knows


def standings(packed: Packed, used: Sequence[int], now_s: float) -> tuple[Standing, ...]:
    """Where every rule stands, but for concurrency. `now_s` is Unix time."""
    fades_s = (now_s // SLOT_S + 1) * SLOT_S + SPAN_S - now_s
    return tuple(
        [
            Standing(rule, count, fades_s if _slides(rule) else end_s - now_s)
            for rule, count, end_s in zip(packed.rules, used, packed.ends_s, strict=True)
            if rule.kind
        ]
    )


def refusal(
    packed: Packed, refused: list[Reply], amounts: tuple[int, ...], now_s: float, own: int
) -> Refusal | None:
    """The refusal with the longest wait; None when nothing refused. `amounts` are by kind; `own` micro-dollars are held already.

    `refused` is, for each rule without room: its number, what it counts, what of it is held, and
    the slots of a sliding window.
    """
    longest: Refusal | None = None
    for at in range(0, len(refused), 4):
        number, used, held, fields = refused[at : at + 4]
        rule = packed.rules[number - 1]
        amount = amounts[rule.kind]
        by_holds = False
        if _slides(rule):
            wait_s = _window(fields, now_s).wait_s(amount, rule.most, now_s)
        elif rule.kind is Kind.CONCURRENCY or (
            rule.kind is Kind.BUDGET and used - held + own + amount <= rule.most
        ):
            by_holds, wait_s = True, BUSY_S
        else:
            wait_s = max(0.0, packed.ends_s[number - 1] - now_s)
        if longest is None or (wait_s, -rule.kind) > (longest.retry_after_s, -longest.rule.kind):
            longest = Refusal(rule, wait_s, by_holds=by_holds)
    return longest


def _slides(rule: Rule) -> bool:
    return rule.kind in (Kind.REQUESTS, Kind.TOKENS)


def _window(fields: list[bytes], now_s: float) -> Window:
    slots = sorted((int(fields[at]), int(fields[at + 1])) for at in range(0, len(fields), 2))
    present = int(now_s / SLOT_S)
    window = Window(min([present, *(slot for slot, _ in slots)]))
    for slot, amount in slots:
        window.turn(slot)
        window.take(amount)
    window.turn(max([present, *(slot for slot, _ in slots)]))
    return window


class Questions:
    """What the ledger is asked. Everybody who needs the same answer meanwhile shares one question."""

    __slots__ = ("_asked", "_spent")

    def __init__(self, spent: Spent) -> None:
        self._spent = spent
        self._asked: dict[tuple[str, float], asyncio.Task[int | GatemillError]] = {}

    async def ask(self, rule: Rule, start_s: float, end_s: float) -> int:
        """Micro-dollars spent in a budget's window. Raises GatemillError."""
        name = (rule.name, start_s)
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = spawn(self._answer(rule, start_s, end_s), "spent")
        # Who asks may be cancelled; the question is still the others'.
        answer = await asyncio.shield(asked)
        if isinstance(answer, GatemillError):
            raise answer
        return answer

    async def _answer(self, rule: Rule, start_s: float, end_s: float) -> int | GatemillError:
        try:
            return await self._spent(rule, start_s, end_s)
        except GatemillError as error:
            return error
        finally:
            del self._asked[rule.name, start_s]
