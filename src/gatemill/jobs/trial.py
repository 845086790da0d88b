"""A kind of job tried without a database, a worker or a provider: for tests of one's own kinds.

Rule: to a kind it looks like a Context; time passes only where the kind waits for a limit.
"""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from gatemill.core.call import Call, Head, Key, Reply
from gatemill.core.clock import FakeClock
from gatemill.core.errors import UpstreamRefused
from gatemill.core.job import DEFAULT, Job, NewJob, Progress, owner_of
from gatemill.core.ports import Incoming, Outgoing
from gatemill.jobs.services import Amounts
from gatemill.providers import echo
from gatemill.wire import sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from gatemill.core.job import Full

_START = 1_700_000_000.0
_PATHS = {"chat": "/chat/completions", "embeddings": "/embeddings"}


class _NoRoutes:
    def find(self, name: str) -> None:
        """Nothing is known of any model."""


class _Pauses(Struct, frozen=True):
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    rng: Callable[[], float]


class _Gateway(Struct, frozen=True):
    tries: _Pauses
    routes: _NoRoutes
    now: Callable[[], float]


class _Services(Struct, frozen=True):
    gateway: _Gateway
    clock: FakeClock
    amounts: Amounts


class Trial:
    """Runs a kind, and holds what it did. A second run goes on with the steps of the first."""

    def __init__(
        self,
        answer: Callable[[str, Any], Any] | None = None,
        *,
        attempts_max: int = 1,
        result_bytes: int = 16_777_216,
    ) -> None:
        """`answer(operation, body)` gives what a model would answer, also as an awaitable.

        A list is a stream, of chunks without their frame. It may raise GatemillError. By default chats
        and embeddings are answered as the built-in `echo` model does.
        """
        self.asked: list[tuple[str, Any]] = []  # operation and body of each call
        self.told: list[Progress] = []
        self.said: list[bytes] = []  # the job's events
        self.steps: dict[str, bytes] = {}
        self.ended: list[Full] = []  # what `parts` gives
        self.slept_s = 0.0
        self.key = Key(id="trial", name="trial")
        self.latest: Progress | None = None
        self._answer = answer or _echoed
        self._clock = FakeClock(_START)
        self._attempts_max = attempts_max
        self._result_bytes = result_bytes
        self.job = self._job("trial", 0)
        now = self._clock.monotonic_s
        tries = _Pauses(now, self._sleep, lambda: 0.5)
        amounts = Amounts(result_bytes=result_bytes)
        self.services = _Services(_Gateway(tries, _NoRoutes(), now), self._clock, amounts)

    async def run(self, kind: Any, **args: Any) -> Any:
        """The result as JSON has it. Raises what the kind raises, and msgspec.ValidationError."""
        self.job = self._job(kind.NAME, self.job.attempt + 1)
        self.latest = None
        given = msgspec.json.decode(msgspec.json.encode(args), type=kind.Args)
        result = msgspec.json.encode(await kind.run(self, given))
        assert len(result) <= self._result_bytes, "the result is larger than jobs.result_bytes"
        return msgspec.json.decode(result)

    # --- What a kind is given; see Context -------------------------------------------------------

    def now_s(self) -> float:
        """Unix time; it stands still but for waits."""
        return self._clock.unix_s()

    async def ask(self, operation: str, body: bytes) -> bytes:
        """What `answer` gives."""
        found = await self._ask(operation, body)
        return bytes(found) if isinstance(found, bytes | Raw) else msgspec.json.encode(found)

    async def reply(self, operation: str, body: bytes, *, cache_control: str = "") -> Reply:
        """What `answer` gives, for nothing, by nobody in particular."""
        now_s = self._clock.monotonic_s()
        model = msgspec.json.decode(body).get("model", "")
        call = Call("trial", operation, body, Head(model=model), now_s, now_s)
        return Reply(call=call, body=await self.ask(operation, body), cost_microusd=0)

    async def stream(self, operation: str, body: bytes) -> AsyncGenerator[bytes, None]:
        """The events that `answer` gives as a list."""
        for event in await self._ask(operation, body):
            yield event if isinstance(event, bytes) else sse.event(msgspec.json.encode(event))

    def progress(self, current: int, total: int | None = None, note: str = "") -> None:
        """It stands in `told`."""
        if self.latest is not None:
            current = max(current, self.latest.current)
        self.latest = Progress(current, total, note)
        self.told.append(self.latest)

    async def step(self, name: str, make: Callable[[], Awaitable[Any]], shape: Any = Any) -> Any:
        """It stands in `steps`."""
        kept = self.steps.get(name)
        if kept is None:
            kept = msgspec.json.encode(await make())
            await asyncio.sleep(0)  # others get their turn, as they do while a database writes
            self.steps[name] = kept
        return msgspec.json.decode(kept, type=shape)

    async def emit(self, events: Sequence[bytes]) -> None:
        """They stand in `said`."""
        self.said.extend(events)

    async def flush(self) -> None:
        """Nothing waits."""

    def part(self, kind: str, args: Any, part: int, **more: Any) -> NewJob:
        """A part with this job's owner."""
        fields = {
            "id": f"{self.job.id}-{part}",
            "kind": kind,
            "queue": self.job.queue,
            "args": msgspec.json.encode(args),
            "owner": self.job.owner,
            "key_id": self.key.id,
            "parent_id": self.job.id,
            "part": part,
            "notify": False,
        }
        return NewJob(**{**fields, **more})

    async def parts(self) -> list[Full]:
        """What stands in `ended`."""
        return self.ended

    # --- Inside ----------------------------------------------------------------------------------

    async def _ask(self, operation: str, body: bytes) -> Any:
        asked = msgspec.json.decode(body)
        self.asked.append((operation, asked))
        found = self._answer(operation, asked)
        return await found if isawaitable(found) else found

    async def _sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self._clock.advance(seconds)
        await asyncio.sleep(0)

    def _job(self, kind: str, attempt: int) -> Job:
        return Job(
            id="job_trial",
            owner=owner_of(self.key),
            key_id=self.key.id,
            kind=kind,
            queue="trial",
            priority=DEFAULT,
            state="running",
            run_at=_START,
            expires_at=None,
            attempt=attempt,
            attempts_max=self._attempts_max,
            lost=0,
            timeout_s=600.0,
            keep_s=0.0,
            cancel=False,
            unique_key="",
            callback_url="",
            metadata=b"{}",
            parent_id="",
            part=0,
            parts=0,
            parts_open=0,
            notify=False,
            worker_id="trial",
            created_at=_START,
            started_at=_START,
            finished_at=None,
            keep_until=None,
            error=None,
        )


def _echoed(operation: str, body: Any) -> Any:
    path = _PATHS.get(operation, f"/{operation}")
    found = echo.respond(Outgoing(path, msgspec.json.encode(body)), _START)
    if not isinstance(found, Incoming):
        return list(found)
    if found.status != 200:
        raise UpstreamRefused(f"The echo model cannot answer {operation}.")
    return found.body
