"""What ended and Redis has to hear of. Rule: nobody waits, everything is applied once and in order.

A batch leaves at once and is kept until it is answered. On one connection it is applied before any
request that is asked for later, so a place that a request gave back is free for the next one. While
Redis is away batches stay here; afterwards those without an answer are sent again, one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.tasks import spawn
from gatemill.kv.redis.connection import Away
from gatemill.kv.redis.packing import SETTLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.kv.redis.connection import Connection
    from gatemill.kv.redis.packing import Packed
    from gatemill.kv.redis.wire import Reply, Word

    Told = Callable[[Packed, int, int, float], None]  # rule's place, micro-dollars, share

# Requests under way when Redis went away, at most. Beyond it the hold stays in Redis as it is until
# this process ends; then its worst case is booked. So money is never forgotten.
WAITING_MAX = 65_536
BOOKS_MAX = 10_000  # sets of rules with money spent elsewhere
_BATCH_HOLDS = 100  # about 2 ms of Redis
_BATCHES_MAX = 64  # without an answer
_OLDEST = 2  # place of a word in a batch: the number of the oldest one without an answer
_NOTHING = b"\x90"  # an empty list


class Item(Struct, gc=False):
    """One hold that ends."""

    how: str  # see settle.lua
    ticket: int
    packed: Packed | None
    tokens: int
    cost_microusd: int


class Batch(Struct, gc=False):
    """Items that are applied together."""

    number: int  # from 1
    items: list[Item]
    words: list[Word]


class Settlements:
    """The buffer between a request's end and Redis."""

    def __init__(self, connection: Connection, tag: str, process_id: str, told: Told) -> None:
        """`tag` begins every key. `told` hears of alerts."""
        self.dropped = 0
        self._connection = connection
        self._tag = tag
        self._process_id = process_id
        self._told = told
        self._waiting: deque[Item] = deque()  # at most WAITING_MAX
        self._books: dict[bytes, Item] = {}  # by packed rules; at most BOOKS_MAX
        self._unanswered: deque[Batch] = deque()  # at most _BATCHES_MAX
        self._number = 0
        self._planned = False  # a flush runs at the end of this turn of the loop
        self._again: asyncio.Task[None] | None = None  # sends unanswered batches once more
        self._idle: asyncio.Future[None] | None = None  # somebody waits for the last answer

    @property
    def waits(self) -> bool:
        """Something has not been sent yet."""
        return bool(self._waiting or self._books)

    @property
    def pending(self) -> int:
        """Items that Redis has not confirmed."""
        sent = sum(len(batch.items) for batch in self._unanswered)
        return len(self._waiting) + len(self._books) + sent

    def settle(self, ticket: int, packed: Packed, tokens: int, cost_microusd: int) -> bool:
        """Redis will hear what a hold used; False when too many wait, which is counted."""
        return self._add(Item("settle", ticket, packed, tokens, cost_microusd))

    def undo(self, ticket: int) -> bool:
        """Redis will forget a hold that nobody has; nothing happens if it knows none."""
        return self._add(Item("undo", ticket, None, 0, 0))

    def book(self, packed: Packed, cost_microusd: int) -> None:
        """Redis will hear of money that was spent while it was away."""
        item = self._books.get(packed.data)
        if item is not None:
            item.cost_microusd += cost_microusd
        elif len(self._books) >= BOOKS_MAX:
            self.dropped += 1
        else:
            self._books[packed.data] = Item("book", 0, packed, 0, cost_microusd)
            self._plan()

    def flush(self) -> None:
        """Whatever waits is on its way, unless Redis is away."""
        self._planned = False
        while self._waiting or self._books:
            full = len(self._unanswered) >= _BATCHES_MAX
            if full or self._again is not None or self._connection.away:
                return
            self._send(self._next())

    def resume(self) -> None:
        """Redis is back: what it did not answer is sent again."""
        if self._again is None and (self._unanswered or self._waiting or self._books):
            self._again = spawn(self._send_again(), "redis-settlements")

    async def written(self) -> None:
        """Everything so far is in Redis. Waits as long as Redis is away."""
        self.flush()
        while self.pending:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    async def close(self, patience_s: float) -> bool:
        """Whether all is written after at most `patience_s` seconds; nothing is sent afterwards."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self.written()
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)
        return not self.pending

    def _add(self, item: Item) -> bool:
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return False
        self._waiting.append(item)
        self._plan()
        return True

    def _plan(self) -> None:
        if not self._planned and not self._connection.away:
            self._planned = True
            asyncio.get_running_loop().call_soon(self.flush)

    def _next(self) -> Batch:
        items: list[Item] = []
        while self._books and len(items) < _BATCH_HOLDS:
            items.append(self._books.popitem()[1])
        while self._waiting and len(items) < _BATCH_HOLDS:
            items.append(self._waiting.popleft())
        self._number += 1
        oldest = self._unanswered[0].number if self._unanswered else self._number
        words: list[Word] = [self._process_id, self._number, oldest]
        for item in items:
            rules = _NOTHING if item.packed is None else item.packed.data
            words += (item.how, item.ticket, rules, item.tokens, item.cost_microusd)
        batch = Batch(self._number, items, words)
        self._unanswered.append(batch)
        return batch

    def _send(self, batch: Batch) -> None:
        try:
            answer = self._connection.start(SETTLE, self._tag, *batch.words)
        except Away:
            return  # `resume` sends it
        answer.add_done_callback(partial(self._answered, batch))

    def _answered(self, batch: Batch, answer: asyncio.Future[Reply]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            return  # Redis is away; `resume` sends it again
        reply = answer.result()
        if isinstance(reply, list) and reply[0] == 1:
            self._confirm(batch, reply)
        else:
            # The script is unknown, or the batch before this one failed so.
            self.resume()

    def _confirm(self, batch: Batch, reply: list[Reply]) -> None:
        # Answers come in order, so it is the first; a batch that was sent twice may be gone.
        if self._unanswered and self._unanswered[0] is batch:
            self._unanswered.popleft()
            for place, number, share, spent in reply[1:]:
                packed = batch.items[place].packed
                assert packed is not None
                self._told(packed, number - 1, spent, float(share))
        if self._waiting or self._books:
            self.flush()
        elif not self._unanswered and self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    async def _send_again(self) -> None:
        try:
            while self._unanswered:
                batch = self._unanswered[0]
                batch.words[_OLDEST] = batch.number
                reply = await self._connection.run(SETTLE, self._tag, *batch.words)
                assert reply[0] == 1
                self._confirm(batch, reply)
        except Away:
            return
        finally:
            self._again = None
        self.flush()
