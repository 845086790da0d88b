"""A good request to the door, and one way to spoil it."""

from __future__ import annotations

from msgspec import Struct


class Good(Struct, frozen=True):
    """A request that is fine as it is."""

    method: bytes
    path: bytes
    headers: tuple[bytes, ...]  # without Host and Content-Length
    body: bytes
    host: bytes

    def raw(
        self, *more: bytes, without: tuple[bytes, ...] = (), body: bytes | None = None
    ) -> bytes:
        """Its bytes, with `more` header lines."""
        data = self.body if body is None else body
        lines = [b"host: " + self.host, *self.headers]
        if data and b"content-length" not in without:
            lines.append(b"content-length: %d" % len(data))
        lines = [line for line in lines if not line.startswith(tuple(n + b":" for n in without))]
        return b"\r\n".join((self.line, *lines, *more)) + b"\r\n\r\n" + data

    @property
    def line(self) -> bytes:
        return b"%b %b HTTP/1.1" % (self.method, self.path)

    def chunked(self, value: bytes, body: bytes) -> bytes:
        """With a Transfer-Encoding line of that value instead of a length."""
        return self.raw(value, without=(b"content-length",), body=body)

    def chunks(self) -> bytes:
        return b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.body), self.body)


class Vector(Struct, frozen=True):
    """One way to spoil a request."""

    name: str
    data: bytes
    statuses: tuple[int, ...] = (400,)
