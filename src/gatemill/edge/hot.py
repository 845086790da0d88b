"""The inference endpoints, for whoever holds the connection: the front protocol or any ASGI server.

Rule: a request comes in as bytes and the answer leaves as bytes; nothing here knows a socket.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from gatemill.core.errors import GatemillError
from gatemill.edge import faults
from gatemill.gateway import standing
from gatemill.gateway.identify import identify
from gatemill.gateway.judging import header
from gatemill.gateway.pipeline import answer
from gatemill.gateway.settle import refused
from gatemill.wire import failures

if TYPE_CHECKING:
    from gatemill.core.call import Call, Reply
    from gatemill.core.ports import Stream
    from gatemill.gateway.parts import Caller, Gateway

PATHS = {
    b"/v1/chat/completions": "chat",
    b"/v1/completions": "completions",
    b"/v1/embeddings": "embeddings",
    b"/v1/responses": "responses",
    b"/v1/messages": "messages",
    b"/v1/messages/count_tokens": "count_tokens",
    b"/api/v1/inference": "inference",
    b"/v1/predict": "predict",
    b"/predict": "predict_text",
    b"/v1/rerank": "rerank",
    b"/v1/moderations": "moderations",
    # OpenAI's own SDKs put the version into base_url; callers who left it out are served too.
    b"/chat/completions": "chat",
    b"/completions": "completions",
    b"/embeddings": "embeddings",
    b"/responses": "responses",
    b"/rerank": "rerank",
    b"/moderations": "moderations",
}


class Answer(NamedTuple):
    """What goes back. `headers` is a block of lines that each end in CRLF."""

    status: int
    headers: bytes
    body: bytes
    stream: Stream | None
    operation: str
    family: str
    request_id: str


async def respond(gateway: Gateway, operation: str, body: bytes, caller: Caller) -> Answer:
    """The answer to one request; failures become answers too."""
    request_id = gateway.new_id(gateway.clock.unix_s())
    family = gateway.surfaces[operation].FAMILY
    try:
        reply = await faults.shielded(
            answer(gateway, operation, body, caller, request_id), request_id
        )
    except GatemillError as error:
        return refusal(error, operation, family, request_id, caller.client_request_id)
    return Answer(
        200,
        _headers(gateway, reply, family, caller.client_request_id),
        reply.body,
        reply.stream,
        operation,
        family,
        request_id,
    )


def welcome(gateway: Gateway, caller: Caller) -> None:
    """Somebody we know, before anything is decoded for them. Raises as `identify`."""
    identify(gateway.keys, caller.secret, gateway.clock.unix_s(), "inference")


def refusal(
    error: GatemillError, operation: str, family: str, request_id: str, client_request_id: str = ""
) -> Answer:
    """The answer that says no."""
    headers = b"content-type: %b\r\n%b%b" % (
        failures.media_type(family),
        _ids(request_id, family, client_request_id),
        failures.header_lines(error),
    )
    body = failures.body(error, family, request_id)
    return Answer(error.status, headers, body, None, operation, family, request_id)


def refused_unread(
    gateway: Gateway, operation: str, caller: Caller, error: GatemillError
) -> Answer:
    """The answer to a request that was refused before its body was looked at; it is counted.

    `operation` is "http" where the request did not get as far as its path.
    """
    surface = gateway.surfaces.get(operation)
    request_id = gateway.new_id(gateway.clock.unix_s())
    refused(gateway, operation, caller, request_id, error)
    family = surface.FAMILY if surface else "openai"
    return refusal(error, operation, family, request_id, caller.client_request_id)


def _headers(gateway: Gateway, reply: Reply, family: str, client_request_id: str) -> bytes:
    call = reply.call
    attempts = call.attempts
    elapsed_s = gateway.now() - call.started_s
    upstream_s = 0.0
    for attempt in attempts:
        # A stream has not ended: what we waited for is its first byte.
        upstream_s += (attempt.ended_s or attempt.first_byte_s) - attempt.started_s
    block = (
        b"%bx-request-id: %b\r\nx-gatemill-model: %b\r\nx-gatemill-attempts: %d\r\n"
        b"x-gatemill-overhead-ms: %.2f\r\nx-gatemill-config: %b\r\nopenai-processing-ms: %d\r\n"
        % (
            _JSON if reply.stream is None else STREAM,
            call.id.encode(),
            (attempts[-1].target.label if attempts else call.label).encode(),
            len(attempts),
            (elapsed_s - upstream_s) * 1e3,
            gateway.version.encode(),
            elapsed_s * 1e3,
        )
    )
    cost = reply.cost_microusd
    if cost is not None:
        block += b"x-gatemill-cost-usd: %d.%06d\r\n" % divmod(cost, 1_000_000)
    if call.hold is not None:
        block += standing.headers(call.hold)
    if family == "anthropic":
        block += b"request-id: %b\r\n" % call.id.encode()
    if client_request_id:
        block += b"x-client-request-id: %b\r\n" % client_request_id.encode()
    served = attempts[-1].target.version if attempts else ""
    if served or call.version or call.cache or call.reported or call.decision or call.replayed:
        block += _remarks(call, served)
    if call.verdicts:
        block += header(call.verdicts)
    if call.trace is not None:
        block += b"x-gatemill-trace-id: %b\r\n" % call.trace.id.encode()
    if attempts and (usage := attempts[-1].usage) is not None and usage.estimated:
        block += b"x-gatemill-usage: estimated\r\n"
    return block


def _remarks(call: Call, served: str) -> bytes:
    """Headers that most answers do not have; `served` is the registry's version that answered, or ""."""
    block = b""
    if call.cache:
        block += b"x-gatemill-cache: %b\r\n" % call.cache.encode()
        if call.cache_age_s is not None:
            block += b"age: %d\r\n" % call.cache_age_s
        if call.cache == "hit" and call.reason and not call.decision:
            block += b"x-gatemill-route: %b\r\n" % _safe(call.reason)
    if call.replayed:
        block += b"idempotent-replayed: true\r\n"
    if call.version:
        block += b"x-gatemill-arm: %b\r\n" % _safe(call.version)
    if version := served or call.version:
        block += b"x-gatemill-model-version: %b\r\n" % _safe(version)
    if call.decision and call.reason:
        block += b"x-gatemill-route: %b\r\n" % _safe(call.reason)
    if call.reported:
        # The names are the caller's own words: nothing of them may end the header.
        block += b"x-gatemill-unsupported: %b\r\n" % _safe(",".join(call.reported))
    return block


def _safe(text: str) -> bytes:
    """Text as the value of a header."""
    return _UNPRINTABLE.sub(b"?", text[:_NAMES_CHARS_MAX].encode("ascii", "replace"))


_NAMES_CHARS_MAX = 1000
_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")
_JSON = b"content-type: application/json\r\n"
STREAM = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)


def _ids(request_id: str, family: str, client_request_id: str) -> bytes:
    lines = b"x-request-id: %b\r\n" % request_id.encode()
    if family == "anthropic":
        lines += b"request-id: %b\r\n" % request_id.encode()
    if client_request_id:
        lines += b"x-client-request-id: %b\r\n" % client_request_id.encode()
    return lines
