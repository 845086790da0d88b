"""The second client, on aiohttp: for providers behind an HTTP proxy.

Rule: same seam and same failures as the pool; one contract suite for both. Slower, so it is only used
where `proxy` is set.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp

from gatemill.core.errors import (
    GatemillError,
    Overloaded,
    UpstreamBadReply,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.ports import Incoming
from gatemill.core.tasks import spawn
from gatemill.upstream.connection import HEADER_BYTES_MAX
from gatemill.upstream.exchange import ANSWER_BYTES_MAX, FAILURE_BYTES_MAX, Inflater, inflater
from gatemill.upstream.pool import STALE_S, WAITING_MAX

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import SimpleNamespace

    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Outgoing, Sink, Source

_INTERRUPTED = "The provider closed the connection mid-answer."


class Proxied:
    """Connections to one provider through a proxy; satisfies ports.Transport."""

    def __init__(
        self,
        base_url: str,
        headers: tuple[tuple[str, str], ...],
        *,
        proxy: str | None,
        tls: ssl.SSLContext | None,
        connections_max: int,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            **dict(headers),
        }
        self._proxy = proxy
        self._tls = tls
        # aiohttp has a queue of its own, which loses the turn of a waiter who leaves as it comes.
        self._slots = asyncio.Semaphore(connections_max)
        self._waiting = 0  # for one of them
        self._session: aiohttp.ClientSession | None = None  # made with the first request

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer; see ports.Transport."""
        answer = await self._ask(out, timeouts, deadline_s)
        return await answer.complete()

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """A source, or the complete answer when it is not an event stream; see ports.Transport."""
        answer = await self._ask(out, timeouts, deadline_s)
        return Pump(answer) if answer.is_stream else await answer.complete()

    async def close(self) -> None:
        """The session is closed, with all its connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Answer:
        await self._turn(deadline_s)
        answer: Answer | None = None
        try:
            response = await self._answered(out, timeouts, deadline_s)
            answer = Answer(response, timeouts, deadline_s, self._slots.release)
        finally:
            if answer is None:
                self._slots.release()
        return answer

    async def _answered(
        self, out: Outgoing, timeouts: Timeouts, deadline_s: float
    ) -> aiohttp.ClientResponse:
        while True:
            progress = _Progress(timeouts, deadline_s)
            try:
                return await self._post(out, progress)
            except UpstreamUnreachable:
                # As in the pool: the kept connection had been closed before our request reached it.
                # aiohttp may take another kept one, so this ends when none is left.
                if not progress.is_stale:
                    raise

    async def _turn(self, deadline_s: float) -> None:
        if self._waiting >= WAITING_MAX:
            raise Overloaded(
                "Too many requests wait for this provider. Retry later.", retry_after_s=1
            )
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._slots.acquire()
        except TimeoutError:
            raise UpstreamTimeout.unsent(
                "No connection to the provider became free in time."
            ) from None
        finally:
            self._waiting -= 1

    async def _post(self, out: Outgoing, progress: _Progress) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = self._made()
        try:
            async with asyncio.timeout_at(progress.deadline_s) as progress.timeout:
                response = await self._session.post(
                    self._base_url + out.path,
                    data=io.BytesIO(out.body),
                    headers={
                        **self._headers,
                        **dict(out.headers),
                        "content-length": str(len(out.body)),
                    },
                    proxy=self._proxy,
                    allow_redirects=False,
                    trace_request_ctx=progress,
                )
        except TimeoutError:
            raise progress.failure() from None
        except (aiohttp.ClientHttpProxyError, aiohttp.InvalidURL) as error:
            raise UpstreamUnreachable("The proxy refuses to reach the provider.") from error
        except aiohttp.ClientResponseError as error:
            raise UpstreamBadReply("The provider's answer is not HTTP.") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(
                error.message, str
            ):  # then it is the half of an answer
                raise UpstreamInterrupted(_INTERRUPTED) from error
            raise UpstreamUnreachable("The provider cannot be reached, or closed.") from error
        if response.status < 200:
            response.close()
            raise UpstreamBadReply("The provider's answer is not HTTP.")
        return response

    def _made(self) -> aiohttp.ClientSession:
        traces: Any = aiohttp.TraceConfig()
        traces.on_connection_create_start.append(_connecting)
        traces.on_connection_reuseconn.append(_reusing)
        traces.on_request_headers_sent.append(_asked)
        return aiohttp.ClientSession(
            # True is the usual check of certificates.
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=HEADER_BYTES_MAX,
            max_line_size=HEADER_BYTES_MAX,
            trace_configs=[traces],
        )


class _Progress:
    """How far one request came, which decides whose patience counts; moved on by aiohttp's signals."""

    def __init__(self, timeouts: Timeouts, deadline_s: float) -> None:
        self._now = asyncio.get_running_loop().time
        self._timeouts = timeouts
        self._reused = False
        self._asked_s = 0.0
        self.deadline_s = min(deadline_s, self._now() + timeouts.total_s)
        self.timeout: asyncio.Timeout  # of the request under way
        self.too_late = "The provider exceeded total_s."

    @property
    def is_stale(self) -> bool:
        """The connection was a kept one and closed right after the request."""
        return self._reused and self._now() - self._asked_s < STALE_S

    def failure(self) -> UpstreamTimeout:
        """The failure of a request whose patience is over."""
        made = UpstreamTimeout if self._asked_s else UpstreamTimeout.unsent
        return made(self.too_late)

    def connecting(self) -> None:
        """A connection is being opened."""
        self._until(self._timeouts.connect_s, "Connecting to the provider took too long.")

    def reusing(self) -> None:
        """A kept connection was taken."""
        self._reused = True

    def asked(self) -> None:
        """The request is on its way."""
        self._asked_s = self._now()
        self._until(self._timeouts.first_token_s, "The provider exceeded first_token_s.")

    def _until(self, seconds: float, too_late: str) -> None:
        at_s = self._now() + seconds
        self.too_late = too_late if at_s < self.deadline_s else "The provider exceeded total_s."
        self.timeout.reschedule(min(at_s, self.deadline_s))


async def _connecting(session: aiohttp.ClientSession, seen: SimpleNamespace, _: object) -> None:
    seen.trace_request_ctx.connecting()


async def _reusing(session: aiohttp.ClientSession, seen: SimpleNamespace, _: object) -> None:
    seen.trace_request_ctx.reusing()


async def _asked(session: aiohttp.ClientSession, seen: SimpleNamespace, _: object) -> None:
    seen.trace_request_ctx.asked()


class Answer:
    """An answer whose headers have come."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        timeouts: Timeouts,
        deadline_s: float,
        release: Callable[[], None],
    ) -> None:
        """`release` is called once, when the connection is closed or free again."""
        self._response = response
        self._release: Callable[[], None] | None = release
        self._between_s = timeouts.between_chunks_s
        self._now = asyncio.get_running_loop().time
        self.expires_s = min(deadline_s, self._now() + timeouts.total_s)
        self._inflate: Inflater | None = None
        kind = response.headers.get("content-type", "").lower()
        self.is_stream = 200 <= response.status < 300 and kind.startswith("text/event-stream")

    def close(self) -> None:
        """The connection is closed, unless the answer has ended; somebody else may have its turn."""
        self._response.close()
        release, self._release = self._release, None
        if release is not None:
            release()

    async def complete(self) -> Incoming:
        """The whole body. Raises as ports.Transport."""
        parts: list[bytes] = []
        received_bytes = 0
        response = self._response
        room_bytes = ANSWER_BYTES_MAX if response.status < 300 else FAILURE_BYTES_MAX
        try:
            async for part in self:
                received_bytes += len(part)
                if received_bytes > ANSWER_BYTES_MAX:
                    raise UpstreamBadReply("The provider's answer is larger than 64 MiB.")
                if received_bytes <= room_bytes + len(part):
                    parts.append(part)
        finally:
            self.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Incoming(response.status, headers, b"".join(parts))

    async def __aiter__(self) -> Any:
        """The body's bytes, decoded. Raises GatemillError."""
        encoding = self._response.headers.get("content-encoding", "")
        inflate = inflater(encoding.encode("latin-1", "replace"))
        try:
            while data := await self._read():
                if inflate is not None:
                    data = inflate.feed(data)
                if data:
                    yield data
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamInterrupted(_INTERRUPTED) from error
        if inflate is not None and not inflate.is_whole:
            raise UpstreamBadReply("The provider's compressed answer is cut short.")

    async def _read(self) -> bytes:
        at_s = self._now() + self._between_s
        phase = "between_chunks_s" if at_s < self.expires_s else "total_s"
        try:
            async with asyncio.timeout_at(min(at_s, self.expires_s)):
                return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamTimeout(f"The provider exceeded {phase}.") from None


class Pump:
    """Pushes an answer's bytes to a sink; satisfies ports.Source."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._sink: Sink | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._task: asyncio.Task[None] | None = None

    def attach(self, sink: Sink) -> None:
        """Start pushing."""
        self._sink = sink
        self._task = spawn(self._run(), "upstream-pump")

    def pause(self) -> None:
        """Stop after the read under way; aiohttp then stops reading from the socket."""
        self._flows.clear()

    def resume(self) -> None:
        """Go on."""
        self._flows.set()

    def abort(self) -> None:
        """Close the connection; the sink hears nothing more."""
        self._sink = None
        self._answer.close()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        # Also for a fault of our own in the sink, which the task logs.
        error: GatemillError | None = UpstreamInterrupted(_INTERRUPTED)
        try:
            async for data in self._answer:
                if not self._flows.is_set():
                    await self._flow()
                if self._sink is None:
                    return
                self._sink.feed(data)
            error = None
        except GatemillError as failure:
            error = failure
        finally:
            self._answer.close()
            sink, self._sink = self._sink, None
            if sink is not None:
                sink.close(error)

    async def _flow(self) -> None:
        try:
            async with asyncio.timeout_at(self._answer.expires_s):
                await self._flows.wait()
        except TimeoutError:
            raise UpstreamTimeout("The provider exceeded total_s.") from None
