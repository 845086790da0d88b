"""Limits and budgets of several processes.

Rule: one request is one round trip, and no request waits longer for Redis than its deadline; what is
unclear afterwards is undone.

Time is the processes' own (`clock`, `wanted.unix_s`), so their hosts must agree on it to within a
few seconds, as NTP sees to. Sliding windows follow the clock, calendar windows the moment at which a
request arrived. Redis must not evict keys (`maxmemory-policy noeviction`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct, msgpack

from gatemill.core.errors import LimitsUnavailable
from gatemill.core.limits import Hold, Kind, Level, Refusal
from gatemill.core.redis_address import address
from gatemill.core.tasks import spawn
from gatemill.kv.redis import verdict
from gatemill.kv.redis.connection import Away, Connection
from gatemill.kv.redis.members import Members
from gatemill.kv.redis.packing import ADMIT, Packed, Packing
from gatemill.kv.redis.settlements import Settlements
from gatemill.kv.redis.share import LocalShare
from gatemill.policy import period

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.limits import Crossed, Rule, Spent, Wanted
    from gatemill.core.ports import Limiter
    from gatemill.kv.redis.wire import Reply

CLOSE_S = 2.0  # patience for what was settled to be written
_LEVELS = 100  # rules looked at in one call
_TRIES_MAX = 3  # for budgets that Redis does not know, and again does not know


class Identity(Struct, frozen=True):
    """Who counts, and where."""

    process_id: str  # new for each start of a process
    prefix: str = "gm:"  # of all keys
    guesses: bool = False  # `when_away`: "share" is True, "refuse" is False


class RedisLimiter:
    """Satisfies `core.ports.Limiter`."""

    def __init__(
        self,
        connection: Connection,
        local: Limiter,
        clock: Clock,
        spent: Spent,
        crossed: Crossed,
        identity: Identity,
    ) -> None:
        """`connection` is the limiter's alone, and so is `local`, whose budgets begin at 0."""
        self._connection = connection
        self._clock = clock
        self._crossed = crossed
        self._guesses = identity.guesses
        self._process_id = identity.process_id
        self._tag = identity.prefix + "{limits}:"
        self._packing = Packing()
        self._questions = verdict.Questions(spent)
        self._share = LocalShare(
            local, self._packing, self._questions.ask, guesses=identity.guesses
        )
        self._settlements = Settlements(connection, self._tag, identity.process_id, self._tell)
        self.members = Members(connection, self._tag, identity.process_id, clock, self._heard)
        connection.returned = self._returned
        self._opening: asyncio.Task[bool] | None = None
        self._ticket = 0
        # Ticket and packed rules of holds that Redis has, by id; as many as requests are under way.
        self._open_holds: dict[str, tuple[int, Packed]] = {}
        self._heard_ticket = 0  # the newest one at the last beat
        self.settled_twice = 0  # bugs
        self.undone = 0  # holds that Redis had and nobody knew of

    # --- For metrics ------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Commands sent to Redis."""
        return self._connection.calls

    @property
    def timeouts(self) -> int:
        """Times that Redis went away because a reply was late."""
        return self._connection.timeouts

    @property
    def away(self) -> int:
        """1 while Redis is away."""
        return self._connection.away

    @property
    def refused_away(self) -> int:
        """Requests refused because a hard budget must not be guessed."""
        return self._share.refused

    @property
    def settles_pending(self) -> int:
        """Holds that ended and Redis has not confirmed."""
        return self._settlements.pending

    @property
    def settles_dropped(self) -> int:
        """Holds that stay in Redis until this process ends, because too many waited."""
        return self._settlements.dropped

    @property
    def swept(self) -> int:
        """Holds of dead processes that this one ended."""
        return self.members.swept

    # --- The port ---------------------------------------------------------------------------------

    async def open(self) -> bool:
        """Whether Redis answers. If not, the process begins in the degraded mode.

        The first request does this where nobody did.
        """
        if self._opening is None:
            self._opening = spawn(self._open(), "redis-open")
        return await asyncio.shield(self._opening)

    async def admit(self, wanted: Wanted) -> Hold | Refusal:
        """See the port. Raises GatemillError when the ledger cannot say what was spent."""
        rules = wanted.rules
        tokens, cost = wanted.tokens, wanted.cost_microusd
        if not rules:
            return Hold(wanted.hold_id, rules, tokens, cost, wanted.unix_s)
        if self._connection.away and (self._is_opened or not await self.open()):
            return await self._share.admit(wanted)
        if self._settlements.waits:
            self._settlements.flush()
        packed = self._packing.of(rules, wanted.unix_s)
        self._ticket += 1
        ticket = self._ticket
        now_s = self._clock.unix_s()
        answer: list[Reply] | None = None
        try:
            answer = await self._ask(
                packed, "admit", tokens, cost, now_s, ticket, wanted.hold_id, self._process_id
            )
        except Away:
            pass  # the degraded mode decides, below
        finally:
            if answer is None:  # late, or the caller is gone: it may have been taken nevertheless
                self._settlements.undo(ticket)
        if answer is None:
            return await self._share.admit(wanted)
        if answer[0]:
            amounts = (1, 1, 1, tokens, cost)
            refused = verdict.refusal(packed, answer[2:], amounts, now_s, 0)
            assert refused is not None
            return refused
        packed.used = used = answer[2:]
        self._open_holds[wanted.hold_id] = (ticket, packed)
        seen = verdict.standings(packed, used, now_s)
        return Hold(wanted.hold_id, rules, tokens, cost, wanted.unix_s, seen)

    async def extend(self, hold: Hold, tokens: int, cost_microusd: int) -> Refusal | None:
        """See the port. While Redis is away, a hold of it grows here only, unless that is a guess."""
        if hold.local:
            return await self._share.extend(hold, tokens, cost_microusd)
        opened = self._open_holds.get(hold.id)
        if opened is not None:
            ticket, packed = opened
            now_s = self._clock.unix_s()
            amounts = (0, 0, 0, tokens, cost_microusd)
            words = (tokens, cost_microusd, now_s, ticket, hold.id, self._process_id)
            try:
                answer = await self._ask(packed, "extend", *words)
            except Away:
                refusal = self._share.unguessed(hold.rules)
            else:
                refused = answer[2:] if answer[0] else []
                refusal = verdict.refusal(packed, refused, amounts, now_s, hold.cost_microusd)
            if refusal is not None:
                return refusal
        hold.tokens += tokens
        hold.cost_microusd += cost_microusd
        return None

    def settle(self, hold: Hold, tokens: int, cost_microusd: int) -> None:
        """See the port. A second time is counted and changes nothing."""
        if hold.local:
            if self._share.settle(hold, tokens, cost_microusd) and cost_microusd:
                packed = self._packing.of(hold.rules, hold.unix_s)
                if packed.has_budget:
                    self._settlements.book(packed, cost_microusd)
            return
        opened = self._open_holds.get(hold.id)
        if opened is None:
            self.settled_twice += bool(hold.rules)
        elif self._settlements.settle(*opened, tokens, cost_microusd):
            del self._open_holds[hold.id]

    async def peek(self, wanted: Wanted) -> Hold | Refusal:
        """See the port. Raises as `admit` does."""
        tokens, cost = wanted.tokens, wanted.cost_microusd
        packed = self._packing.of(wanted.rules, wanted.unix_s)
        now_s = self._clock.unix_s()
        try:
            answer = await self._ask(packed, "peek", tokens, cost, now_s, 0, "", "")
        except Away:
            return await self._share.peek(wanted)
        if answer[0]:
            amounts = (1, 1, 1, tokens, cost)
            refused = verdict.refusal(packed, answer[2:], amounts, now_s, 0)
            assert refused is not None
            return refused
        return Hold(
            wanted.hold_id,
            wanted.rules,
            tokens,
            cost,
            wanted.unix_s,
            verdict.standings(packed, answer[2:], now_s),
        )

    async def levels(self, rules: Sequence[Rule], unix_s: float) -> list[Level]:
        """See the port. Raises LimitsUnavailable while Redis is away, and as `admit` does."""
        levels: list[Level] = []
        for at in range(0, len(rules), _LEVELS):
            packed = Packed(tuple(rules[at : at + _LEVELS]), int(unix_s // period.DAY_S))
            try:
                answer = await self._ask(packed, "levels", 0, 0, unix_s, 0, "", "")
            except Away as error:
                raise LimitsUnavailable(
                    "The shared counters are away. Retry later.", retry_after_s=1
                ) from error
            for place in range(len(packed.rules)):
                used, held = answer[2 + 2 * place : 4 + 2 * place]
                levels.append(await self._level(packed, place, used, held))
        return levels

    async def written(self) -> None:
        """Everything settled so far counts. Waits as long as Redis is away."""
        await self._settlements.written()

    async def close(self) -> None:
        """See the port. What Redis does not take within CLOSE_S is booked by the others' sweeps."""
        if self._opening is None:
            await self._share.close()
            return
        await self._opening
        written = await self._settlements.close(CLOSE_S)
        await self.members.stop(leave=written and not self._open_holds)
        await self._connection.close()
        await self._share.close()

    # --- Inside -----------------------------------------------------------------------------------

    @property
    def _is_opened(self) -> bool:
        # Whoever comes while the first request still connects waits with it: nothing is away yet.
        return self._opening is not None and self._opening.done()

    async def _open(self) -> bool:
        found = await self._connection.open()
        self.members.start()
        return found

    async def _ask(self, packed: Packed, operation: str, *words: str | float) -> list[Reply]:
        """The script's answer, with every budget known. Raises Away and GatemillError."""
        if not self._is_opened:
            await self.open()
        seeds = b""
        for _ in range(_TRIES_MAX):
            answer: list[Reply] = await self._connection.run(
                ADMIT, self._tag, operation, packed.data, *words, seeds
            )
            if answer[0] != 2:
                for number, share, spent in answer[1]:
                    self._tell(packed, number - 1, spent, float(share))
                return answer
            seeds = await self._seeds(packed, answer[1:])
        raise Away("budgets do not stay")

    async def _seeds(self, packed: Packed, numbers: list[int]) -> bytes:
        seeds = {}
        for number in numbers:
            rule = packed.rules[number - 1]
            start_s, end_s = packed.starts_s[number - 1], packed.ends_s[number - 1]
            seeds[number] = await self._questions.ask(rule, start_s, end_s)
        return msgpack.encode(seeds)

    def _tell(self, packed: Packed, place: int, spent: int, share: float) -> None:
        self._crossed(packed.rules[place], packed.starts_s[place], spent, share)

    async def _level(self, packed: Packed, place: int, used: int, held: int) -> Level:
        rule = packed.rules[place]
        start_s, end_s = packed.starts_s[place], packed.ends_s[place]
        if rule.kind is Kind.CONCURRENCY:
            return Level(rule, 0, held, 0.0, 0.0)
        if rule.kind in (Kind.REQUESTS, Kind.TOKENS):
            return Level(rule, used, 0, 0.0, 0.0)
        if used < 0:
            used = await self._questions.ask(rule, start_s, end_s)
        return Level(rule, used - held, held, start_s, 0.0 if rule.period == "total" else end_s)

    def _returned(self) -> None:
        self._share.forget()
        self._settlements.resume()

    def _heard(self, tickets: list[int]) -> None:
        """After a beat: what Redis holds for us since the last one, and we do not know, is undone."""
        self._share.members = max(1, self.members.alive)
        live = {ticket for ticket, _ in self._open_holds.values()}
        for ticket in tickets:
            if ticket <= self._heard_ticket and ticket not in live:
                self.undone += self._settlements.undo(ticket)
        self._heard_ticket = self._ticket


def limiter(
    url: str,
    local: Limiter,
    clock: Clock,
    spent: Spent,
    crossed: Crossed,
    identity: Identity,
) -> RedisLimiter:
    """The limiter on the Redis of a URL; nothing is connected yet. Raises StartRefused.

    `local` counts this process's share while Redis is away. It is the limiter's alone and must not
    ask the ledger: its budgets begin at 0 and tell nobody.
    """
    return RedisLimiter(Connection(address(url)), local, clock, spent, crossed, identity)
