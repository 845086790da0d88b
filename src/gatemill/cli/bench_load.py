"""The load of `gatemill bench`: so many callers, each asking again once it was answered. Rule: it measures, it prints nothing.

The connections are those that the gateway itself keeps to providers, so one process can ask a few thousand times a second.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from gatemill.core.call import Timeouts
from gatemill.core.errors import GatemillError
from gatemill.core.ports import Incoming, Outgoing
from gatemill.upstream.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.ports import Source

PATH = "/chat/completions"
_TIMEOUTS = Timeouts(connect_s=5.0, first_token_s=120.0, between_chunks_s=60.0, total_s=600.0)
_TOLD_S = 0.5
_TAIL_BYTES = 1024  # gateways may add a comment after [DONE]
_ROUNDS_MAX = 10
_WORDS = re.compile(
    rb'"(?:content|reasoning_content)"\s*:\s*"[^"]'
)  # of an event that says something


class Place(NamedTuple):
    """Whom to ask, as whom, for what."""

    url: str  # ends before /chat/completions
    key: str
    model: str


class Plan(NamedTuple):
    """How to ask."""

    callers: int
    seconds: float
    streams: bool
    text: str
    output_max: int


class Tally(Struct):
    """What came of the requests to one place."""

    seconds: float = 0.0
    total_s: list[float] = field(default_factory=list)  # of those answered well
    first_s: list[float] = field(default_factory=list)  # until the first word; streams only
    errors: Counter[str] = field(default_factory=Counter)  # by code

    @property
    def requests(self) -> int:
        """All that have ended."""
        return len(self.total_s) + self.errors.total()

    def add(self, other: Tally) -> None:
        """Both together."""
        self.seconds += other.seconds
        self.total_s += other.total_s
        self.first_s += other.first_s
        self.errors += other.errors


class _Ear:
    """Takes a stream; `whole` is resolved with its failure, "" for none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first_s: float | None = None  # loop time of the first word
        self.whole: asyncio.Future[str] = loop.create_future()
        self._loop = loop
        self._tail = b""
        self._failed = False

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        if self.first_s is None and _WORDS.search(data):
            self.first_s = self._loop.time()
        self._failed = self._failed or b'data: {"error"' in data
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def close(self, error: GatemillError | None) -> None:
        """The stream has ended."""
        if self.whole.done():
            return
        if error is not None:
            self.whole.set_result(error.code)
        elif self._failed:
            self.whole.set_result("error_in_stream")
        else:
            self.whole.set_result("" if b"[DONE]" in self._tail else "stream_cut_short")


def body(model: str, plan: Plan) -> bytes:
    """The request."""
    asked = {"model": model, "messages": [{"role": "user", "content": plan.text}]}
    return msgspec.json.encode({**asked, "max_tokens": plan.output_max, "stream": plan.streams})


def rounds(plan: Plan, places: int) -> int:
    """How often places take turns, so that a machine whose speed drifts treats them alike."""
    return 1 if places == 1 else max(2, min(_ROUNDS_MAX, int(plan.seconds)))


async def measured(
    places: list[Place], plan: Plan, tell: Callable[[float, int], None]
) -> list[list[Tally]]:
    """For each round, what came of each place; each is asked for `plan.seconds` in all.

    `tell` hears now and then how many seconds have passed and how many requests have ended.
    """
    count = rounds(plan, len(places))
    pools = [_pool(place, plan.callers) for place in places]
    requests = [body(place.model, plan) for place in places]
    found: list[list[Tally]] = []
    ended, passed_s = 0, 0.0
    for number in range(count):
        tallies = [Tally() for _ in places]
        order = range(len(places)) if number % 2 == 0 else reversed(range(len(places)))
        for at in order:
            before, since_s = ended, passed_s

            def told(now_s: float, so_far: int, since_s: float = since_s, n: int = before) -> None:
                tell(since_s + now_s, n + so_far)

            work = _Round(pools[at], requests[at], plan, plan.seconds / count)
            tallies[at] = await work.run(told)
            ended += tallies[at].requests
            passed_s += plan.seconds / count
        found.append(tallies)
    for pool in pools:
        await pool.close()
    return found


class _Round:
    """One place for one while."""

    def __init__(self, pool: Pool, request: bytes, plan: Plan, seconds: float) -> None:
        self._pool = pool
        self._request = Outgoing(PATH, request)
        self._plan = plan
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._tally = Tally()

    async def run(self, tell: Callable[[float, int], None]) -> Tally:
        """It is over, and so is every request of it."""
        begin_s = self._loop.time()
        until_s = begin_s + self._seconds
        callers = [asyncio.ensure_future(self._call(until_s)) for _ in range(self._plan.callers)]
        waiting = set(callers)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=_TOLD_S)
            tell(min(self._seconds, self._loop.time() - begin_s), self._tally.requests)
        for caller in callers:
            caller.result()
        self._tally.seconds = self._loop.time() - begin_s
        return self._tally

    async def _call(self, until_s: float) -> None:
        """Somebody has asked, once at least, and again until then."""
        asks = True
        while asks:
            begin_s = self._loop.time()
            try:
                error, first_s = await self._ask(begin_s + _TIMEOUTS.total_s)
            except GatemillError as failure:
                error, first_s = failure.code, None
            if error:
                self._tally.errors[error] += 1
                await asyncio.sleep(0.01)  # who is refused at once would ask in a tight loop
            else:
                self._tally.total_s.append(self._loop.time() - begin_s)
            if first_s is not None and not error:
                self._tally.first_s.append(first_s - begin_s)
            asks = self._loop.time() < until_s

    async def _ask(self, deadline_s: float) -> tuple[str, float | None]:
        """The failure, "" for none, and when the first word came."""
        if not self._plan.streams:
            whole = await self._pool.exchange(self._request, _TIMEOUTS, deadline_s)
            return _failure(whole), None
        opened: Incoming | Source = await self._pool.open(self._request, _TIMEOUTS, deadline_s)
        if isinstance(opened, Incoming):
            return _failure(opened) or "no_stream", None
        ear = _Ear(self._loop)
        opened.attach(ear)
        return await ear.whole, ear.first_s


def _pool(place: Place, callers: int) -> Pool:
    tls = ssl.create_default_context() if urlsplit(place.url).scheme == "https" else None
    headers = (("authorization", f"Bearer {place.key}"),) if place.key else ()
    return Pool(place.url, headers, connections_max=callers, tls=tls)


def _failure(answer: Incoming) -> str:
    """The status and the code in it; "" for a good answer."""
    if 200 <= answer.status < 300:
        return ""
    try:
        code = msgspec.json.decode(answer.body)["error"]["code"]
    except (msgspec.DecodeError, KeyError, TypeError):
        code = None
    return f"{answer.status} {code}" if isinstance(code, str) else str(answer.status)
