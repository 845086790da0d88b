"""What Anthropic's error objects mean to our caller.

Rule: only what Anthropic blames on the request is passed on in its own words, cleaned and cut.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from gatemill.core.errors import (
    ContextLengthExceeded,
    GatemillError,
    RequestTooLarge,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from gatemill.wire.failure import clean


class ErrorDetails(Struct):
    """error.details."""

    error_code: str | None = None


class ErrorObject(Struct):
    """The `error` of Anthropic's error body and of its error event."""

    type: str | None = None
    message: str | None = None
    details: ErrorDetails | None = None


class ErrorBody(Struct):
    """Anthropic's error body; other vendors put a string there."""

    error: ErrorObject | str | None = None


_error_body = msgspec.json.Decoder(ErrorBody).decode
_TOO_LONG = ("prompt is too long", "exceed context limit", "context window")
_NO_CREDIT = ("credit balance is too low", "api usage limits", "spend limit")


def error_said(body: bytes) -> ErrorObject:
    """The error in a body or event; empty when it says nothing that we can read."""
    try:
        read = _error_body(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorObject()
    if isinstance(read, str):
        return ErrorObject(message=read)
    return read or ErrorObject()


def failure_of(kind: str, said: ErrorObject, wait_s: float | None = None) -> GatemillError:
    """Our error for Anthropic's error type `kind`; an unknown one is the provider's own fault."""
    if kind == "invalid_request_error":
        return _refusal(said)
    if kind == "rate_limit_error" and _says_no_credit(said):
        kind = "billing_error"
    build, message = _FAILURES.get(kind, _FAILURES["api_error"])
    return build(message, retry_after_s=wait_s)


def _refusal(said: ErrorObject) -> GatemillError:
    text = clean(said.message)
    if not text:
        return UpstreamRefused("The provider refused the request without saying why.")
    lowered = text.lower()
    if any(phrase in lowered for phrase in _TOO_LONG):
        return ContextLengthExceeded(text)
    if _says_no_credit(said):
        build, message = _FAILURES["billing_error"]
        return build(message)
    return UpstreamRefused(text)


def _says_no_credit(said: ErrorObject) -> bool:
    code = (said.details.error_code or "") if said.details else ""
    text = (said.message or "").lower()
    return "spend_limit" in code or any(phrase in text for phrase in _NO_CREDIT)


_KEY_REFUSED = "The provider refused the key configured for it. Check the key and its permissions."
_FAILURES: dict[str, tuple[type[GatemillError], str]] = {
    "authentication_error": (UpstreamAuthFailed, _KEY_REFUSED),
    "permission_error": (UpstreamAuthFailed, _KEY_REFUSED),
    "billing_error": (
        UpstreamQuotaSpent,
        "The provider account behind this model has no credit left. Top it up.",
    ),
    "not_found_error": (
        UpstreamError,
        "The provider does not know this model. Check the target's model and base_url.",
    ),
    "request_too_large": (
        RequestTooLarge,
        "The request is larger than the provider accepts. Send less.",
    ),
    "rate_limit_error": (
        UpstreamRateLimited,
        "The provider limits the rate of requests. Retry later.",
    ),
    "timeout_error": (UpstreamTimeout, "The provider timed out. Retry, or ask for less."),
    "overloaded_error": (UpstreamOverloaded, "The provider is overloaded. Retry later."),
    "api_error": (UpstreamError, "The provider failed. Retry later."),
}
ERROR_TYPES = frozenset((*_FAILURES, "invalid_request_error"))
