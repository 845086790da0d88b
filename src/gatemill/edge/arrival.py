"""One HTTP request as it arrives. Rule: only headers that somebody reads are kept, and bounded."""

from __future__ import annotations

import asyncio
import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

import httptools

from gatemill.core.errors import (
    GatemillError,
    HeaderInvalid,
    HostRefused,
    InvalidJson,
    RequestTooLarge,
    UnsupportedEncoding,
)
from gatemill.gateway.parts import Caller

if TYPE_CHECKING:
    from gatemill.edge.door import Limits

_ID = re.compile(rb"[\w-]{1,64}")
_NAME = re.compile(rb"[\x21-\x7e]{1,200}")  # of an end user or a conversation
_BETA = re.compile(rb"[\w.,; -]{1,512}")
_UPGRADE = re.compile(rb"^upgrade(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)
_HOST = re.compile(rb"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_HOST_BYTES_MAX = 300  # a name has at most 253; what is longer matches nothing when it is cut
_PORT_MAX = 65_535
_INFLATE_HERE_BYTES_MAX = 4 << 10  # of a compressed body: at most 4 MB decoded, 5 ms
_TIMEOUT_S_MAX = 86_400.0


class Arrival:
    """The request under way on a connection."""

    __slots__ = (
        "_host",
        "_parts",
        "authorization",
        "beta",
        "body_bytes",
        "body_bytes_max",
        "cache_control",
        "callback_url",
        "client_id",
        "content_type",
        "conversation",
        "encoding",
        "expect",
        "header_bytes",
        "header_count",
        "http10",
        "idempotency_key",
        "keeps",
        "length",
        "path",
        "prefer",
        "priority",
        "record",
        "refusal",
        "retries",
        "secret",
        "started_s",
        "timeout",
        "traceparent",
        "transfer",
        "upgrade",
        "user",
    )

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.path = b""
        self.header_bytes = 0
        self.header_count = 0
        self.body_bytes = 0
        self.body_bytes_max = 0  # set by `bound`
        self.length = -1  # content-length; -1 when the body is chunked or absent
        self.http10 = False
        self.keeps = False  # the connection may go on after the answer
        self.authorization = self.secret = self.client_id = self.encoding = b""
        self.beta = self.retries = self.timeout = self.upgrade = b""
        self.user = self.conversation = self.cache_control = self.idempotency_key = b""
        self.prefer = self.callback_url = self.priority = self.record = self.traceparent = b""
        self.content_type = self.expect = self.transfer = (
            b""  # read by others; kept so that there is one of each
        )
        self.refusal: GatemillError | None = None  # first reason to say no; known at the end
        self._host: bytes | None = None
        self._parts: list[bytes] = []

    def target(self, piece: bytes) -> None:
        """Take a piece of the request target. The head as a whole bounds it."""
        self.header_bytes += len(piece)
        self.path += piece

    def header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self.header_bytes += len(name) + len(value) + 4
        self.header_count += 1
        name = name.lower()
        if name in _ATTRIBUTES:
            attribute = _ATTRIBUTES[name]
            if before := getattr(self, attribute):
                if name not in _LISTS:
                    # Two readers may believe different ones: a proxy the first, we the last.
                    self.refuse(HeaderInvalid(f"{name.decode()} was sent twice. Send it once."))
                value = b"%b, %b" % (before, value)
            setattr(self, attribute, value)
        elif name == b"host":
            if self._host is not None:
                self.refuse(HeaderInvalid("Two Host headers were sent. Send one."))
            self._host = value
        elif name == b"content-length":
            self.length = int(value)  # the parser has checked it

    def check_head(self, version: str, method: bytes, hosts: frozenset[str] | None) -> None:
        """Refuses what no honest client of HTTP/1.1 sends. `hosts` are the names served, None for any."""
        self.http10 = version == "1.0"
        if version not in _VERSIONS or method == b"CONNECT":
            self.refuse(HeaderInvalid("Speak HTTP/1.1, and not as to a proxy."))
        # A coding of transfer is a matter of 1.1; in 1.0 a proxy may not know where the body ends.
        if self.transfer and (self.transfer.lower() != b"chunked" or self.http10):
            self.refuse(HeaderInvalid("Transfer-Encoding must be chunked, or absent."))
        if self.upgrade.lower() == b"websocket" and (self.transfer or self.length > 0):
            self.refuse(HeaderInvalid("A request for a WebSocket has no body."))
        if self.expect and self.expect.lower() != b"100-continue":
            self.refuse(HeaderInvalid("Expect must be 100-continue, or absent."))
        if self.encoding and self.encoding.lower() not in _CODINGS:
            self.refuse(_unsupported())
        self._check_host(hosts)

    def check_start(self, raw: bytes, method: bytes, limits: Limits) -> None:
        """Refuses what the parser lets pass; `raw` begins with the head."""
        # It takes other protocols of this form, two blanks for one, and any number before a value.
        line = b"%b %b HTTP/1.%b\r\n" % (method, self.path, b"0" if self.http10 else b"1")
        if not raw.lstrip(b"\r\n").startswith(line):
            self.refuse(HeaderInvalid("The request is not valid HTTP/1.1."))
        if len(raw) > limits.header_bytes and raw.find(b"\r\n\r\n") > limits.header_bytes:
            self.refuse(limits.headers_too_large())

    def check_target(self) -> None:
        """Refuses a request target that is not a path of this host: uvicorn has no words for it."""
        target = self.path
        if target.startswith(b"/") and b"#" not in target and target.isascii():
            return
        try:
            url = httptools.parse_url(target)
        except httptools.HttpParserInvalidURLError:
            url = None
        # The whole URL stands there when the client takes us for a proxy; then it names the host, too.
        if (
            url is None
            or not (url.path and url.host and target.isascii())
            or b"#" in target
            or target.lower().partition(b"/")[0] not in (b"http:", b"https:")
            or target.split(b"/", 3)[2].lower() != (self._host or b"").lower()
        ):
            self.refuse(HeaderInvalid("The request target must be a path, such as /v1/models."))

    def _check_host(self, hosts: frozenset[str] | None) -> None:
        name = hostname(self._host[:_HOST_BYTES_MAX]) if self._host else ""
        if hosts is not None and name not in hosts:
            self.refuse(
                HostRefused("This Host is not served here. Add it to server.allowed_hosts.")
            )
        elif not name and (self._host or not self.http10):
            self.refuse(HeaderInvalid("Host must be one name or address, with a port or without."))

    def bound(self, body_bytes_max: int) -> None:
        """The body may be so long; one that says it is longer is refused."""
        self.body_bytes_max = body_bytes_max
        if self.length > body_bytes_max:
            self.refuse(too_large(body_bytes_max))

    def count(self, data: bytes) -> None:
        """The next piece of a body that somebody else keeps."""
        self.body_bytes += len(data)
        if self.body_bytes > self.body_bytes_max:
            self.refuse(too_large(self.body_bytes_max))

    def take(self, data: bytes, body_bytes_max: int) -> None:
        """The next piece of the body; what is over the limit is not kept."""
        self.body_bytes += len(data)
        if self.body_bytes <= body_bytes_max:
            self._parts.append(data)
        else:
            self.refuse(too_large(body_bytes_max))

    def refuse(self, error: GatemillError) -> None:
        """Keep the first reason."""
        if self.refusal is None:
            self.refusal = error
            self._parts.clear()

    async def body(self, body_bytes_max: int) -> bytes:
        """The whole body, decoded; one that takes long to decode is decoded in a thread.

        Raises UnsupportedEncoding, RequestTooLarge, InvalidJson.
        """
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if not self.encoding:
            return data
        if len(data) <= _INFLATE_HERE_BYTES_MAX:
            return inflated(data, self.encoding, body_bytes_max)
        return await asyncio.to_thread(inflated, data, self.encoding, body_bytes_max)

    def caller(self) -> Caller:
        """What the gateway needs to know of the sender."""
        secret = bearer(self.authorization) or self.secret
        caller = Caller(secret, self.started_s, path=self.path, traceparent=self.traceparent)
        if self.client_id and _ID.fullmatch(self.client_id):
            caller.client_request_id = self.client_id.decode()
        if self.retries.isdigit():
            caller.retries = min(int(self.retries[:4]), 99)
        if self.timeout:
            caller.timeout_s = _seconds(self.timeout)
        if self.beta and _BETA.fullmatch(self.beta):
            caller.headers = (("anthropic-beta", self.beta.decode()),)
        if self.user and _NAME.fullmatch(self.user):
            caller.user = self.user.decode()
        if self.conversation and _NAME.fullmatch(self.conversation):
            caller.conversation = self.conversation.decode()
        if self.cache_control:
            caller.cache_control = self.cache_control.decode("latin-1")
        if self.idempotency_key:
            caller.idempotency_key = self.idempotency_key.decode("latin-1")
        if self.record and self.record.strip().lower() == b"no":
            caller.is_recorded = False
        return caller


_VERSIONS = ("1.1", "1.0")
# Several lines are one list; two contexts of a trace are none, and not worth a refusal.
_LISTS = (b"cache-control", b"prefer", b"anthropic-beta", b"traceparent")
_CODINGS = (b"gzip", b"x-gzip", b"deflate", b"identity")
_ATTRIBUTES = {
    b"authorization": "authorization",
    b"x-api-key": "secret",
    b"content-type": "content_type",
    b"expect": "expect",
    b"transfer-encoding": "transfer",
    b"x-request-id": "client_id",
    b"content-encoding": "encoding",
    b"anthropic-beta": "beta",
    b"x-stainless-retry-count": "retries",
    b"x-stainless-read-timeout": "timeout",
    b"upgrade": "upgrade",
    b"x-user-id": "user",
    b"x-conversation-id": "conversation",
    b"cache-control": "cache_control",
    b"idempotency-key": "idempotency_key",
    b"prefer": "prefer",
    b"x-callback-url": "callback_url",
    b"x-priority": "priority",
    b"x-gatemill-record": "record",
    b"traceparent": "traceparent",
}


@lru_cache(maxsize=256)
def hostname(host: bytes) -> str:
    """The name or address in a Host header, in small letters; "" when it is not a host and a port."""
    found = _HOST.fullmatch(host)
    if found is None or int(found[2] or b"0") > _PORT_MAX:
        return ""
    return found[1].decode().lower()


def without_upgrade(request: bytes) -> bytes:
    """A request whose offers to speak another protocol nobody sees any more."""
    head, end, body = request.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"x-declined-upgrade", head) + end + body


def bearer(value: bytes) -> bytes:
    """The secret of an Authorization header; b"" for another scheme."""
    return value[7:].strip() if value[:7].lower() == b"bearer " else b""


def too_large(body_bytes_max: int) -> RequestTooLarge:
    """The refusal of a body over the limit."""
    return RequestTooLarge(f"The body exceeds {body_bytes_max} bytes. Send less.")


def inflated(data: bytes, encoding: bytes, bytes_max: int) -> bytes:
    """A compressed body, decoded, at most `bytes_max`. Raises as Arrival.body."""
    if encoding.lower() == b"identity":
        return data
    if encoding.lower() not in _CODINGS:
        raise _unsupported()
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        out = inflate.decompress(data, bytes_max + 1)
    except zlib.error:
        raise InvalidJson("The compressed body is broken. Compress it again.") from None
    if len(out) > bytes_max:
        raise too_large(bytes_max)
    if not inflate.eof:
        raise InvalidJson("The compressed body is cut short. Send all of it.")
    if inflate.unused_data:
        raise InvalidJson("Bytes follow the compressed body. Compress all of it at once.")
    return out


def _unsupported() -> UnsupportedEncoding:
    return UnsupportedEncoding(
        "Content-Encoding must be gzip, deflate or identity, and one of them."
    )


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds <= _TIMEOUT_S_MAX else None
