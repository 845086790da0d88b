"""The bytes before an answer's body. Rule: status line, date, the answer's own headers, framing."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatemill.edge.hot import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def whole(answer: Answer, date: bytes, *, keeps: bool) -> bytes:
    """A complete answer. `keeps` says whether the connection goes on."""
    return b"%bdate: %b\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        _STATUS_LINES.get(answer.status) or b"HTTP/1.1 %d -\r\n" % answer.status,
        date,
        answer.headers,
        b"" if keeps else _CLOSE,
        len(answer.body),
        answer.body,
    )


def begun(answer: Answer, date: bytes, *, keeps: bool, chunked: bool) -> bytes:
    """The head of a stream; without chunks it ends with the connection."""
    return b"HTTP/1.1 200 OK\r\ndate: %b\r\n%b%b%b\r\n" % (
        date,
        answer.headers,
        b"" if keeps else _CLOSE,
        b"transfer-encoding: chunked\r\n" if chunked else b"",
    )
