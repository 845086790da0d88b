"""One HTTP request as it arrives. Rule: only headers that somebody reads are kept, and bounded."""

from __future__ import annotations

import re
import zlib

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

_ID = re.compile(rb"[\w-]{1,64}")
_NAME = re.compile(rb"[\x21-\x7e]{1,200}")  # of an end user or a conversation
_BETA = re.compile(rb"[\w.,; -]{1,512}")
_UPGRADE = re.compile(rb"^upgrade(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)
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
        "conversation",
        "encoding",
        "expects",
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
        self.expects = False
        self.http10 = False
        self.keeps = False  # the connection may go on after the answer
        self.authorization = self.secret = self.client_id = self.encoding = b""
        self.beta = self.retries = self.timeout = self.upgrade = b""
        self.user = self.conversation = self.cache_control = self.idempotency_key = b""
        self.prefer = self.callback_url = self.priority = self.record = b""
        self.refusal: GatemillError | None = None  # first reason to say no; known at the end
        self._host: bytes | None = None
        self._parts: list[bytes] = []

    def header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self.header_bytes += len(name) + len(value) + 4
        self.header_count += 1
        name = name.lower()
        if name == b"host":
            if self._host is not None:
                self.refuse(HeaderInvalid("Two Host headers were sent. Send one."))
            self._host = value
        elif name == b"authorization":
            self.authorization = value
        elif name == b"x-api-key":
            self.secret = value
        elif name == b"content-length":
            self.length = int(value)  # the parser has checked it
        elif name in _ATTRIBUTES:
            setattr(self, _ATTRIBUTES[name], value)
        elif name == b"expect":
            self.expects = value.lower() == b"100-continue"

    def check_host(self, hosts: frozenset[str] | None) -> None:
        """Refuses a host that is not among `hosts`; None serves any."""
        if hosts is not None and self._hostname() not in hosts:
            self.refuse(
                HostRefused("This Host is not served here. Add it to server.allowed_hosts.")
            )

    def check_target(self) -> None:
        """Refuses a request target without a path, which uvicorn has no words for."""
        try:
            path = httptools.parse_url(self.path).path
        except httptools.HttpParserInvalidURLError:
            path = None
        if not path or not path.isascii():
            self.refuse(HeaderInvalid("The request target must be a path, such as /v1/models."))

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

    def body(self, body_bytes_max: int) -> bytes:
        """The whole body, decoded. Raises UnsupportedEncoding, RequestTooLarge, InvalidJson."""
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return inflated(data, self.encoding, body_bytes_max) if self.encoding else data

    def caller(self) -> Caller:
        """What the gateway needs to know of the sender."""
        caller = Caller(secret=bearer(self.authorization) or self.secret, started_s=self.started_s)
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

    def _hostname(self) -> str:
        host = (self._host or b"").decode("latin-1").lower()
        if host.startswith("["):
            return host.partition("]")[0] + "]"
        return host.partition(":")[0]


_ATTRIBUTES = {
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
}


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
    if encoding.lower() not in (b"gzip", b"x-gzip", b"deflate"):
        raise UnsupportedEncoding("Content-Encoding must be gzip, deflate or identity.")
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        out = inflate.decompress(data, bytes_max + 1)
    except zlib.error:
        raise InvalidJson("The compressed body is broken. Compress it again.") from None
    if len(out) > bytes_max:
        raise too_large(bytes_max)
    if not inflate.eof:
        raise InvalidJson("The compressed body is cut short. Send all of it.")
    return out


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds <= _TIMEOUT_S_MAX else None
