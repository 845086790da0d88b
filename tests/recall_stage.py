"""A cache with real stores around it, and providers whose every move a test makes."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.call import Call, Head, Key, Reply
from gatemill.core.clock import FakeClock
from gatemill.core.errors import ClientGone, GatemillError
from gatemill.gateway.recall import Recall
from gatemill.gateway.routes import CacheRoute, Route
from gatemill.kv.memory.cache import MemoryAnswers
from gatemill.wire import cache_control
from playbook import DONE, HELLO, STOP, Scripted
from transports import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.ports import Stream

KEY = Key(id="k", name="k", team_id="t")
WHOLE = HELLO + STOP + DONE
TAIL = b": the end\n\n"
MANY = 100
_ids = itertools.count(1)


def body(text: str = "Hello", finish: str = "stop") -> bytes:
    """A chat answer."""
    said = {"role": "assistant", "content": text}
    return msgspec.json.encode(
        {"choices": [{"index": 0, "finish_reason": finish, "message": said}]}
    )


def asking(text: str = "Hi", *, key: Key = KEY, operation: str = "chat", **fields: Any) -> Call:
    """A call for the model `m`."""
    said = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return Call(
        id=f"r{next(_ids)}",
        operation=operation,
        body=msgspec.json.encode(said),
        head=Head(model="m", stream=fields.get("stream", False), choices=fields.get("n", 1)),
        started_s=0.0,
        deadline_s=100.0,
        key=key,
    )


class Flowing(Scripted):
    """A stream as the relay makes it: it settles once, then says its last bytes."""

    sent_events = 0

    def __init__(self, *at_once: bytes) -> None:
        super().__init__(*at_once)
        self.settled: list[GatemillError | None] = []
        self._settle: Any = None

    def on_end(self, settle: Any) -> None:
        self._settle = settle

    def end(self, error: GatemillError | None = None) -> None:
        self._over(error)
        super().end(error)

    def abort(self) -> None:
        super().abort()
        self._over(ClientGone("gone"))

    def fail(self, error: GatemillError) -> None:
        self.end(error)

    def _over(self, error: GatemillError | None) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            self.settled.append(error)
            if tail := settle(error):
                self.say(tail)


class Provider:
    """Answers each question when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Call, asyncio.Future[Any]]] = []
        self.cancelled = 0

    async def ask(self, call: Call) -> Reply:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.asked.append((call, future))
        try:
            answer = await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(answer, bytes):
            return Reply(call=call, body=answer)
        return Reply(call=call, stream=answer)

    def say(self, answer: Any, at: int = -1) -> None:
        """The question `at` gets a body, a stream or a failure."""
        _, future = self.asked[at]
        if isinstance(answer, GatemillError):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class Heard:
    """A reply's stream as the pipeline and the door take it."""

    def __init__(self, stream: Stream | None) -> None:
        assert stream is not None
        self.stream = stream
        self.sink = Remembered()
        self.settled: list[GatemillError | None] = []
        stream.on_end(self._settle)

    def _settle(self, error: GatemillError | None) -> bytes:
        self.settled.append(error)
        return TAIL

    def attach(self) -> Heard:
        self.stream.attach(self.sink)
        return self


class Stage:
    """One Recall over a real store."""

    def __init__(self, store: Any = None, embed: Any = None, **cache: Any) -> None:
        self.clock = FakeClock()
        self.store = store if store is not None else MemoryAnswers(1 << 20, self.clock)
        self.recall = Recall(self.store, self.clock, self.clock.monotonic_s, 1 << 20, embed)
        self.provider = Provider()
        stale_last = cache.pop("stale_last", False)
        said = {"ttl_s": 60.0, "stale_s": 0.0, "scope": "key", "entry_bytes": 4096, **cache}
        self.route = Route("m", (), cache=CacheRoute(**said), stale_last=stale_last)

    async def ask(self, call: Call, header: str = "", version: str = "v") -> Reply:
        """The reply; it may wait for the provider."""
        control = cache_control.parse(header)
        return await self.recall.answer(
            self.route, call, control, version, lambda: self.provider.ask(call)
        )

    async def begun(self, call: Call, header: str = "") -> asyncio.Task[Reply]:
        """A call that is as far as it gets by itself."""
        task = asyncio.ensure_future(self.ask(call, header))
        await turn()
        return task

    async def answered(self, call: Call, answer: Any = None, header: str = "") -> Reply:
        """The reply, for which the provider is asked and says `answer`."""
        before = len(self.provider.asked)
        task = await self.begun(call, header)
        assert len(self.provider.asked) == before + 1, "the provider was not asked"
        self.provider.say(body() if answer is None else answer)
        return await task

    async def hit(self, call: Call, header: str = "") -> Reply:
        """The reply, for which nobody is asked."""
        before = len(self.provider.asked)
        reply = await asyncio.wait_for(self.ask(call, header), 10)
        assert len(self.provider.asked) == before, "the provider was asked"
        return reply

    async def streamed(self, call: Call, *parts: bytes, header: str = "") -> Heard:
        """A stream that was said and heard to its end."""
        source = Flowing()
        heard = Heard((await self.answered(call, source, header)).stream).attach()
        for part in parts or (WHOLE,):
            source.say(part)
        source.end()
        return heard


async def until(true: Callable[[], bool]) -> None:
    """It has just become true: nothing happened since but the end of that turn of the loop."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never became true")


async def turn() -> None:
    """Everything that can happen now has happened."""
    for _ in range(8):
        await asyncio.sleep(0)


async def crowd(
    stage: Stage, count: int = MANY, **fields: Any
) -> tuple[list[Call], list[asyncio.Task[Reply]]]:
    """Equal calls under way, of which one has asked."""
    calls = [asking(**fields) for _ in range(count)]
    tasks = [await stage.begun(call) for call in calls]
    assert len(stage.provider.asked) == 1
    return calls, tasks


async def results(tasks: list[asyncio.Task[Reply]]) -> list[Any]:
    """What became of each, failures too."""
    async with asyncio.timeout(60):
        return await asyncio.gather(*tasks, return_exceptions=True)


def counts(stage: Stage) -> tuple[int, int, int, int]:
    """Misses, hits, stale answers, and those that somebody else had asked for."""
    recall = stage.recall
    return recall.misses, recall.hits, recall.stale, recall.coalesced
