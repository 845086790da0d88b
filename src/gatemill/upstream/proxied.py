"""The second client, on aiohttp: for providers behind an HTTP proxy.

Rule: same seam and same failures as the pool; one contract suite for both. Slower, so it is only used
where `proxy` is set.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from gatemill.core.errors import (
    GatemillError,
    UpstreamBadReply,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.ports import Incoming
from gatemill.core.tasks import spawn
from gatemill.upstream.exchange import ANSWER_BYTES_MAX

if TYPE_CHECKING:
    import ssl

    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Outgoing, Sink, Source

_READ_BYTES = 64 << 10


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
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None  # made with the first request

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer; see ports.Transport."""
        try:
            async with asyncio.timeout_at(_total(timeouts, deadline_s)):
                response = await self._send(out, timeouts, deadline_s)
                return await _complete(response)
        except TimeoutError:
            raise UpstreamTimeout("The provider exceeded total_s.") from None

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """A source, or the complete answer when it is not an event stream; see ports.Transport."""
        response = await self._send(out, timeouts, deadline_s)
        kind = response.headers.get("content-type", "")
        if 200 <= response.status < 300 and kind.startswith("text/event-stream"):
            return Pump(response, timeouts.between_chunks_s, _total(timeouts, deadline_s))
        return await _complete(response)

    async def close(self) -> None:
        """The session is closed."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, out: Outgoing, timeouts: Timeouts, deadline_s: float
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections_max, ssl=self._tls or False),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s),
                auto_decompress=True,
            )
        first_s = asyncio.get_running_loop().time() + timeouts.first_token_s
        try:
            async with asyncio.timeout_at(min(deadline_s, first_s)):
                return await self._session.post(
                    self._base_url + out.path,
                    data=out.body,
                    headers={**self._headers, **dict(out.headers)},
                    proxy=self._proxy,
                    allow_redirects=False,
                )
        except TimeoutError:
            raise UpstreamTimeout("The provider exceeded first_token_s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable("The provider cannot be reached by its proxy.") from error


def _total(timeouts: Timeouts, deadline_s: float) -> float:
    return min(deadline_s, asyncio.get_running_loop().time() + timeouts.total_s)


async def _complete(response: aiohttp.ClientResponse) -> Incoming:
    parts: list[bytes] = []
    received_bytes = 0
    try:
        async with response:
            async for part in response.content.iter_chunked(_READ_BYTES):
                received_bytes += len(part)
                if received_bytes > ANSWER_BYTES_MAX:
                    response.close()
                    raise UpstreamBadReply("The provider's answer is larger than 64 MiB.")
                parts.append(part)
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as error:
        raise UpstreamInterrupted("The provider closed the connection mid-answer.") from error
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Incoming(response.status, headers, b"".join(parts))


class Pump:
    """Pushes a response's bytes to a sink; satisfies ports.Source."""

    def __init__(
        self, response: aiohttp.ClientResponse, between_s: float, total_expires_s: float
    ) -> None:
        self._response = response
        self._between_s = between_s
        self._total_expires_s = total_expires_s
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
        self._response.close()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        error: GatemillError | None = None
        try:
            while data := await self._read():
                await self._flows.wait()
                if self._sink is None:
                    return
                self._sink.feed(data)
        except TimeoutError:
            self._response.close()
            error = UpstreamTimeout("The provider exceeded between_chunks_s.")
        except aiohttp.ClientError:
            error = UpstreamInterrupted("The provider closed the connection mid-answer.")
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close(error)

    async def _read(self) -> bytes:
        now_s = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(min(now_s + self._between_s, self._total_expires_s)):
            return await self._response.content.readany()
