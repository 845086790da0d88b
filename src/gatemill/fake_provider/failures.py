"""What providers say when they fail, before it takes a vendor's form. Rule: data and choice only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(Struct, frozen=True):
    """One failure in both vendors' words."""

    status: int
    message: str
    type: str = "invalid_request_error"  # OpenAI's error.type
    code: str | None = None  # OpenAI's error.code
    param: str | None = None  # OpenAI's error.param
    anthropic_type: str = "invalid_request_error"
    anthropic_status: int = 0  # 0: the same as `status`


NO_KEY = Failure(
    401,
    "No API key came with the request; send `authorization: Bearer ...` or `x-api-key`.",
    code="invalid_api_key",
    anthropic_type="authentication_error",
)
QUOTA = Failure(
    429,
    "Your credit balance is too low: fake-provider was told to say so.",
    "insufficient_quota",
    "insufficient_quota",
    # Seen 2026-06: Anthropic reports an empty account as 400 invalid_request_error
    # (github.com/anthropics/claude-code/issues/66314), so only the message tells.
    anthropic_status=400,
)
OVERLOADED = Failure(
    503,
    "Overloaded: fake-provider was told to say so.",
    "server_error",
    "service_unavailable",
    anthropic_type="overloaded_error",
    anthropic_status=529,
)
CONTEXT_LENGTH = Failure(
    400,
    "prompt is too long: 9000 tokens > 8192 maximum, says fake-provider.",
    code="context_length_exceeded",
    param="messages",
)
CONTENT_POLICY = Failure(
    400,
    "The prompt was refused by the content policy of fake-provider.",
    code="content_policy_violation",
)
IN_BAND = Failure(
    500,
    "The answer broke off: fake-provider was told to say so.",
    "server_error",
    "server_error",
    anthropic_type="overloaded_error",  # the one that Anthropic's documentation shows in a stream
    anthropic_status=529,
)

_OPENAI: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
_ANTHROPIC = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def of_status(status: int) -> Failure:
    """The failure that a vendor sends with this status, 300 to 599."""
    kind, code = _OPENAI.get(
        status, ("server_error", None) if status >= 500 else ("invalid_request_error", None)
    )
    other = "api_error" if status >= 500 else "invalid_request_error"
    message = f"fake-provider was told to answer {status}."
    return Failure(status, message, kind, code, anthropic_type=_ANTHROPIC.get(status, other))


def invalid(message: str, param: str | None = None) -> Failure:
    """The request is wrong; the message says where."""
    return Failure(400, message, param=param)


def not_found(message: str) -> Failure:
    """No such path or model."""
    return Failure(404, message, code="not_found", anthropic_type="not_found_error")


def chosen(faults: Mapping[str, float]) -> Failure | None:
    """The failure that the faults ask for; None when the answer is to succeed."""
    if "auth" in faults:
        return of_status(int(faults["auth"]))
    if "quota" in faults:
        return QUOTA
    if "overloaded" in faults:
        return OVERLOADED
    if "context-length" in faults:
        return CONTEXT_LENGTH
    if "content-policy" in faults:
        return CONTENT_POLICY
    return of_status(int(faults["status"])) if "status" in faults else None
