"""Messages through Celery, over Redis or RabbitMQ. Rule: the worker is Celery's; see celery_app.py.

Here is the other end: `gatemill serve` accepts jobs and rings. Celery's client blocks, so a thread calls
it, never the loop.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gatemill.dispatch.celery_names import AWAY, TASK, client, message_id, way
from gatemill.dispatch.outbox import CLOSE_S, BrokerAway, Outbox, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.job import Ring
    from gatemill.core.ports import Ears


class CeleryBell:
    """The sending end. Nothing is brought to workers here: Celery's pool does that."""

    POLL_S: float | None = math.inf

    def __init__(self, url: str) -> None:
        """Nothing is connected yet."""
        self._url = url
        self._app = client(url)  # used by the thread alone
        self._outbox = Outbox("celery", self._send)
        self.ring, self.call_off = self._outbox.ring, self._outbox.call_off
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="celery-client")

    @property
    def lost(self) -> int:
        """Messages that the broker did not take."""
        return self._outbox.lost

    async def open(self) -> bool:
        """Whether the broker answers now; the queues stand then."""
        return await self.waiting() is not None

    async def listen(self, ears: Ears) -> None:
        """Nothing is to be heard here."""
        await asyncio.Event().wait()

    async def waiting(self) -> int | None:
        """Messages in the queues, which are declared again where they are gone."""
        count: int | None = await self._in_thread(self._count)
        return count

    async def close(self) -> None:
        """What was rung is sent, and the connection released."""
        await self._outbox.close()
        with suppress(TimeoutError):  # the thread may still wait for the broker
            async with asyncio.timeout(CLOSE_S):
                await self._in_thread(self._app.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def _send(self, batch: Sequence[Ring | Stop]) -> None:
        lost, reason = await self._in_thread(self._send_all, batch)
        if lost:
            raise BrokerAway(lost, reason)

    # --- In the thread ---------------------------------------------------------------------------

    def _send_all(self, batch: Sequence[Ring | Stop]) -> tuple[int, str]:
        """How many were lost, and why."""
        sent = 0
        try:
            with self._app.producer_or_acquire() as producer:
                for message in batch:
                    self._send_one(message, producer)
                    sent += 1
        except AWAY as error:
            self._renew()
            return len(batch) - sent, type(error).__name__
        return 0, ""

    def _send_one(self, message: Ring | Stop, producer: Any) -> None:
        if isinstance(message, Stop):
            self._app.control.revoke(message.id, terminate=True)
            return
        self._app.send_task(
            TASK,
            (message.id, message.queue),
            task_id=message_id(message.id, secrets.token_hex(4)),
            producer=producer,
            ignore_result=True,
            **way(self._url, message.priority),
        )

    def _count(self) -> Any:
        try:
            with self._app.connection_or_acquire() as connection:
                channel = connection.default_channel
                queues = self._app.amqp.queues.values()
                return sum(queue(channel).queue_declare().message_count for queue in queues)
        except AWAY:
            self._renew()
            return None

    def _renew(self) -> None:
        """Nothing of a broken connection is kept, and no memory of what was declared."""
        self._app.close()
        self._app = client(self._url)
