"""The only place where an error becomes bytes.

Rule: OpenAI's error object on OpenAI's routes, Anthropic's on /v1/messages, RFC 9457 on /api. No
exception text, key or body ever leaves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import InvalidApiKey
from gatemill.wire import sse

if TYPE_CHECKING:
    from gatemill.core.errors import GatemillError

_encode = msgspec.json.Encoder().encode
_RETRY_LATER_S = 1.0  # for our own faults that name no time


def body(error: GatemillError, family: str, request_id: str) -> bytes:
    """The error body in the caller's format."""
    if family == "anthropic":
        inner: dict[str, Any] = {"type": error.anthropic_type, "message": error.message}
        return _encode({"type": "error", "error": inner, "request_id": request_id})
    if family == "problem":
        return _encode(_problem(error, request_id))
    return _encode({"error": _openai(error), "request_id": request_id})


def media_type(family: str) -> bytes:
    """The content type of `body`."""
    return b"application/problem+json" if family == "problem" else b"application/json"


def event(
    error: GatemillError, operation: str, family: str, request_id: str, sent_events: int
) -> bytes:
    """The one event that ends a stream which failed after `sent_events` events had left."""
    if family == "anthropic":
        return sse.event(body(error, family, request_id), "error")
    if operation == "responses":
        # The Responses API has flat error events, numbered like all others.
        flat = {**_openai(error), "type": "error", "sequence_number": sent_events}
        return sse.event(_encode(flat), "error")
    return sse.event(body(error, family, request_id))


def header_lines(error: GatemillError) -> bytes:
    """Headers that tell a client what to do: Retry-After, x-should-retry, WWW-Authenticate."""
    wait_s = error.retry_after_s
    if wait_s is None and error.status in (500, 502, 503):
        wait_s = _RETRY_LATER_S
    lines = b""
    if wait_s is not None:
        lines += b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (
            max(1, math.ceil(wait_s)),
            math.ceil(wait_s * 1000),
        )
    if error.retry is not None:
        lines += b"x-should-retry: %b\r\n" % (b"true" if error.retry else b"false")
    if isinstance(error, InvalidApiKey):
        lines += b'www-authenticate: Bearer realm="gatemill"\r\n'
    return lines + error.headers


def _openai(error: GatemillError) -> dict[str, Any]:
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def _problem(error: GatemillError, request_id: str) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": f"urn:gatemill:error:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
    }
    if error.param:
        problem["errors"] = [{"field": error.param, "detail": error.message}]
    return problem
