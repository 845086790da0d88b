"""Posts to servers that callers named.

Rule: nothing that a URL, a name server or an answer says makes us connect to an address that
`policy.addresses` refuses. A URL is taken apart once, its name is looked up once, every address found
is checked, and one of those is dialled. No redirect is followed, no proxy or cookie is used, and the
body of an answer is dropped.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import httptools
from msgspec import Struct

from gatemill.core.errors import (
    GatemillError,
    InvalidValue,
    Overloaded,
    UpstreamBadReply,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.version import VERSION
from gatemill.policy.addresses import check_url, may_dial
from gatemill.upstream.turns import Turns
from gatemill.wire.failure import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatemill.policy.addresses import Network, Place

HEAD_BYTES_MAX = 64 << 10  # of an answer; a longer one is none
BODY_BYTES_MAX = 64 << 10  # that are read and dropped, so that the other side can finish
LINGER_S = 1.0  # for which a body is waited for; the status is known before
DIALLED_MAX = 3  # addresses of one name
LOOKUPS_MAX = 64  # threads: the slow name servers of one owner must not hold up everybody
PATIENCE_S = 0.5  # of a try that waits for its turn; then it is postponed
HOSTS_OF_OWNER = 4  # one owner has as many tries at once as so many hosts
_READ_BYTES = 16 << 10


class Answered(Struct, frozen=True):
    """What came back."""

    status: int
    retry_after_s: float | None


class Bounds(Struct, frozen=True):
    """What one try may take, and how many one host gets at once."""

    timeout_s: float
    tries_per_host: int


class Names:
    """Looks names up, in threads of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="webhook-names")

    async def find(self, host: str, port: int) -> list[str]:
        """The addresses of a name. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._pool, socket.getaddrinfo, host.encode(), port, 0, socket.SOCK_STREAM
        )
        return [str(entry[4][0]) for entry in found]

    def close(self) -> None:
        """No name is looked up any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Outward:
    """The way to callers' servers. One for the house."""

    def __init__(
        self,
        private: Sequence[Network],
        tls: ssl.SSLContext,
        bounds: Bounds,
        *,
        find: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
        tries: Counter[str] | None = None,
    ) -> None:
        """`private` are networks that may be dialled although they are not public.

        `tries` goes on counting where an earlier one stopped; `find` looks names up.
        """
        # By outcome: "2xx" to "5xx", the code of an error, or "postponed".
        self.tries: Counter[str] = Counter() if tries is None else tries
        self._private = private
        self._tls = tls
        self._bounds = bounds
        self._names = Names()
        self._find = find or self._names.find
        most = bounds.tries_per_host
        self._hosts = Turns(most, PATIENCE_S, time.monotonic)
        self._owners = Turns(most * HOSTS_OF_OWNER, PATIENCE_S, time.monotonic)

    @property
    def running(self) -> int:
        """Tries under way."""
        return self._hosts.running

    def check(self, url: str, param: str) -> None:
        """Raises InvalidValue for a URL that would never be dialled. Looks no name up."""
        check_url(url, self._private, param)

    async def post(
        self, owner: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Answered:
        """The answer, of whatever status, on behalf of `owner`.

        Raises InvalidValue (not a place we connect to), Overloaded (as many tries are under way as
        the host or the owner may have), UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply.
        """
        place = check_url(url, self._private, "url")
        try:
            async with self._owners.hold(owner), self._hosts.hold(place.host):
                answered = await self._try(place, _request(place, headers, body))
        except GatemillError as error:
            self.tries["postponed" if isinstance(error, Overloaded) else error.code] += 1
            raise
        self.tries[f"{answered.status // 100}xx"] += 1
        return answered

    def close(self) -> None:
        """No name is looked up any more."""
        self._names.close()

    async def _try(self, place: Place, request: bytes) -> Answered:
        timeout_s = self._bounds.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await self._connect(place)
                try:
                    writer.write(request)
                    await writer.drain()
                    return await _answer(reader)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise UpstreamTimeout(f"The server did not answer within {timeout_s:g} s.") from None
        except OSError as error:
            raise UpstreamUnreachable("The server closed the connection unanswered.") from error

    async def _connect(self, place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        addresses = await self._addresses(place)
        share_s = self._bounds.timeout_s / len(addresses)
        words = "The server cannot be reached."
        for address in addresses:
            try:
                async with asyncio.timeout(share_s):
                    return await asyncio.open_connection(
                        address,
                        place.port,
                        ssl=self._tls if place.secure else None,
                        server_hostname=place.host if place.secure else None,
                    )
            except ssl.SSLCertVerificationError:
                words = "The server's certificate is not valid for the host in the URL."
            except ssl.SSLError:
                words = "The server does not speak TLS as it should."
            except (TimeoutError, OSError):
                pass
        raise UpstreamUnreachable(words)

    async def _addresses(self, place: Place) -> list[str]:
        """At most DIALLED_MAX, all checked. Raises InvalidValue when one that was found is refused."""
        if place.address is not None:
            return [str(place.address)]
        try:
            found = list(dict.fromkeys(await self._find(place.host, place.port)))
        except OSError:
            found = []
        if not found:
            raise UpstreamUnreachable("The host in the URL has no address.")
        if not all(may_dial(address, place.port, self._private) for address in found):
            raise InvalidValue(
                "The host in the URL leads to a place that is not on the public web.", param="url"
            )
        return found[:DIALLED_MAX]


class _Reading:
    """Takes in an answer; called by httptools."""

    def __init__(self) -> None:
        self.status = 0  # once the head is complete
        self.whole = False
        self.headers: dict[str, str] = {}
        self.body_bytes = 0
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            self.status = status
        else:
            self.headers.clear()

    def on_body(self, data: bytes) -> None:
        self.body_bytes += len(data)

    def on_message_complete(self) -> None:
        self.whole = self.status != 0


async def _answer(reader: asyncio.StreamReader) -> Answered:
    reading = _Reading()
    try:
        head_bytes = 0
        while not reading.status:
            data = await reader.read(_READ_BYTES)
            head_bytes += len(data)
            if not data:
                raise UpstreamUnreachable("The server closed the connection unanswered.")
            reading.parser.feed_data(data)
            if head_bytes > HEAD_BYTES_MAX and not reading.status:
                raise UpstreamBadReply("The server's answer has more than 64 KiB of headers.")
        await _drop_body(reader, reading)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        if not reading.status:
            raise UpstreamBadReply("The server's answer is not HTTP.") from None
    finally:
        del reading.parser  # each holds the other
    return Answered(reading.status, retry_after_s(reading.headers))


async def _drop_body(reader: asyncio.StreamReader, reading: _Reading) -> None:
    # Whatever happens here, the status has been said.
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(LINGER_S):
            while not reading.whole and reading.body_bytes < BODY_BYTES_MAX:
                data = await reader.read(_READ_BYTES)
                if not data:
                    return
                reading.parser.feed_data(data)


def _request(place: Place, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    host = f"[{place.host}]" if ":" in place.host else place.host
    if place.port != (443 if place.secure else 80):
        host += f":{place.port}"
    lines = [
        f"POST {place.path} HTTP/1.1",
        f"host: {host}",
        f"user-agent: gatemill/{VERSION}",
        "content-type: application/json",
        "accept-encoding: identity",
        "connection: close",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
