"""Anthropic's dialect; satisfies ports.Dialect.

Rule: a parameter that cannot be carried is refused or reported, never dropped.
Source: the types of Anthropic's Python SDK 2.11 (2026-11). base_url is the API's root without /v1,
as in Anthropic's SDKs and with vendors that speak this dialect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.providers.anthropic.reply import decode
from gatemill.providers.anthropic.request import encode
from gatemill.providers.anthropic.stream import Reader
from gatemill.wire.failure import retry_after_s
from gatemill.wire.messages.failures import ERROR_TYPES, error_said, failure_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Call, Target
    from gatemill.core.errors import GatemillError

__all__ = ["HUB", "NATIVE", "decode", "encode", "failure", "reader", "route", "secret_headers"]

NATIVE = frozenset(("messages", "count_tokens"))
HUB = "messages"

# Version 2026-10-21 answers in the same shapes and only refuses more, sampling parameters above all
# (seen 2026-11). The older one serves callers of both, so it is sent whatever the caller sent.
VERSION = "2023-06-01"

_PATHS = {
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
}
_KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def route(operation: str, target: Target) -> str:
    """Path and query below base_url."""
    settings = target.settings
    query = f"?{settings.query}" if settings.query else ""
    return f"{settings.path_prefix}{_PATHS[operation]}{query}"


def secret_headers(secret: str) -> tuple[tuple[str, str], ...]:
    """Key and API version."""
    return (("x-api-key", secret), ("anthropic-version", VERSION))


def reader(call: Call) -> Reader:
    """A reader for one translated stream."""
    return Reader(created=int(call.arrived_at))


def failure(status: int, headers: Mapping[str, str], body: bytes) -> GatemillError:
    """What a non-2xx answer means to our caller. A body that is not Anthropic's JSON stays inside."""
    said = error_said(body)
    kind = _KINDS.get(status, "")
    if not kind:
        kind = said.type if said.type in ERROR_TYPES else "api_error"
        if status in (400, 422) and kind == "api_error":
            kind = "invalid_request_error"
        elif status >= 500 and kind == "invalid_request_error":
            kind = "api_error"  # a proxy's words; the status says that the request is not at fault
    return failure_of(kind, said, retry_after_s(headers))
