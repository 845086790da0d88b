"""The way to the built-in models: functions, called here or in a thread. Satisfies ports.Transport.

Rule: what takes longer than about a millisecond leaves the event loop; more than WAITING_MAX of them
are refused.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import (
    ModelNotFound,
    UnsupportedOperation,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from gatemill.core.ports import Incoming
from gatemill.local.builtin.cards import CARDS
from gatemill.upstream.inline import Events
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.call import Timeouts
    from gatemill.core.clock import Clock
    from gatemill.core.ports import Json, Outgoing, Source
    from gatemill.local.builtin.cards import Card

INLINE_BYTES = 2_048  # a body of so many bytes is answered on the event loop
# This is Python: a second thread would only take turns, and the event loop would wait for both.
THREADS = 1
WAITING_MAX = 256  # requests in the thread and before it
_HEADERS = {"content-type": "application/json"}
_ASKED_AT = {
    "/chat/completions": "/v1/chat/completions",
    "/embeddings": "/v1/embeddings",
    "/predict": "/v1/predict",
    "/rerank": "/v1/rerank",
}


class _Named(Struct):
    model: str = ""


_named = msgspec.json.Decoder(_Named)


class Builtins:
    """All of them."""

    def __init__(self, clock: Clock) -> None:
        self.refused = 0  # requests for which there was no room
        self._clock = clock
        self._threads: ThreadPoolExecutor | None = None  # made when it is first needed
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Requests in the thread and before it."""
        return self._waiting

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer.

        Raises ModelNotFound, UnsupportedOperation, UpstreamOverloaded, UpstreamTimeout and what the
        model says of the request.
        """
        made = await self._made(out, deadline_s)
        assert isinstance(made, dict)
        return Incoming(200, _HEADERS, fields.encode(made))

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The events of the answer; raises as `exchange`."""
        made = await self._made(out, deadline_s)
        if isinstance(made, dict):
            return Incoming(200, _HEADERS, fields.encode(made))
        return Events(made)

    async def close(self) -> None:
        """The threads end with what they are at."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _made(self, out: Outgoing, deadline_s: float) -> Json | Sequence[bytes]:
        card = _card(_named.decode(out.body).model, out.path.partition("?")[0])
        module: Any = import_module(f"gatemill.local.builtin.{card.module}")
        now_s = self._clock.unix_s()
        if len(out.body) <= INLINE_BYTES:
            made: Json | Sequence[bytes] = module.answer(out.body, now_s)
            return made
        return await self._in_thread(module.answer, out.body, now_s, deadline_s)

    async def _in_thread(
        self,
        answer: Callable[[bytes, float], Json | Sequence[bytes]],
        body: bytes,
        now_s: float,
        deadline_s: float,
    ) -> Json | Sequence[bytes]:
        if self._waiting >= WAITING_MAX:
            self.refused += 1
            raise UpstreamOverloaded(
                f"{WAITING_MAX} requests wait for the built-in models. Retry later.",
                retry_after_s=1.0,
            )
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="builtin")
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._clock.monotonic_s())):
                return await loop.run_in_executor(self._threads, answer, body, now_s)
        except TimeoutError:
            raise UpstreamTimeout("The built-in model did not get ready in time.") from None
        finally:
            self._waiting -= 1


def _card(name: str, path: str) -> Card:
    """The card of a model, if it is asked for what it does. Raises ModelNotFound, UnsupportedOperation."""
    card = CARDS.get(name)
    if card is None:
        names = ", ".join(f"builtin/{each}" for each in CARDS)
        raise ModelNotFound(
            f"There is no built-in model `{name[:100]}`. There are {names}.", param="model"
        )
    if card.path != path:
        raise UnsupportedOperation(
            f"builtin/{name} is asked at {_ASKED_AT[card.path]}, and not here. Choose another model,"
            " or ask it there.",
            param="model",
        )
    return card
