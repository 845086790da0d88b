"""Every public error: what it means, what to do, and how it looks in each format.

Rule: codes, statuses and meanings are read from core/errors/; only the remedies stand here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gatemill.core import errors
from gatemill.core.errors import GatemillError
from gatemill.describe import headers
from gatemill.describe.words import Json, ref
from gatemill.wire import failures

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEDIES = {
    "invalid_request": "Correct the field that the message names.",
    "invalid_json": "Send one JSON object, in UTF-8.",
    "missing_required_parameter": "Add the field named in `param`.",
    "invalid_type": "Send the field named in `param` with the type that the message names.",
    "invalid_value": "Send the field named in `param` within the range that the message names.",
    "unsupported_parameter": "Leave the field out, or choose a model whose provider has it.",
    "unsupported_operation": "Choose a model that can do it.",
    "context_length_exceeded": "Shorten the prompt, ask for less, or choose a model with more room.",
    "content_filter": "Take out what `param` and the message name. Trying again does not help.",
    "content_policy_violation": "Change the prompt. Trying again does not help.",
    "upstream_invalid_request": "Read the provider's words in the message.",
    "json_too_deep": "Flatten the body, or raise `limits.json_depth`.",
    "invalid_header": "Send each header once, as HTTP/1.1 defines it.",
    "invalid_api_key": "Send a key that works; `gatemill keys` makes and lists them.",
    "permission_denied": "Use a key with this right, for example an admin key.",
    "model_not_found": "Take a name from GET /v1/models; ask for access if it should be there.",
    "not_found": "Check the path; GET /docs lists all.",
    "method_not_allowed": "Use the method in the header `allow`.",
    "request_timeout": "Send the request faster, or try again on a better connection.",
    "request_too_large": "Send less, or raise `limits.body_bytes`.",
    "unsupported_encoding": "Send the body plain or as gzip or deflate.",
    "host_not_allowed": "Add the name to `server.allowed_hosts`.",
    "headers_too_large": "Send fewer headers, or raise `limits.header_bytes` and `header_count`.",
    "client_closed_request": "Nothing. Raise the client's timeout if it left too early.",
    "upstream_error": "Try again; look for the provider's incident page if it stays.",
    "upstream_unreachable": "Try again; check `base_url` and the network if it stays.",
    "upstream_auth_failed": "Whoever runs Gatemill corrects the provider's key.",
    "upstream_bad_reply": "Try again; check that `kind` and `base_url` belong together.",
    "upstream_interrupted": "Ask again; the answer is incomplete.",
    "rate_limit_exceeded": "Wait as long as `retry-after` says; the message names whose limit it is.",
    "insufficient_quota": "Ask an admin to raise the budget, or to top up the provider account.",
    "price_unknown": "Add the price to [prices], or set `reserve.unknown_price`.",
    "idempotency_key_reused": "Make a new Idempotency-Key for each request.",
    "idempotency_key_busy": "Wait as long as `retry-after` says, then repeat the request.",
    "idempotency_answer_lost": "Repeat the request with a new Idempotency-Key to pay for another.",
    "invalid_arguments": "Correct the argument that `param` names; the kind says what it takes.",
    "conflict": "Choose another id, or first remove what uses it.",
    "guard_unavailable": "Try again; whoever runs Gatemill looks at the guard that the message names.",
    "circuit_open": "Wait as long as `retry-after` says; add fallbacks to the model.",
    "queue_full": "Wait and try again; raise `queue.concurrency_max` or add targets.",
    "extra_not_installed": "Install it as the message says, and start again.",
    "model_load_failed": "Read the reason in the message; the other models keep serving.",
    "cache_miss": "Leave out `only-if-cached` to ask the provider.",
    "limits_unavailable": "Wait and try again; whoever runs Gatemill looks after Redis.",
    "upstream_overloaded": "Wait and try again; add fallbacks to the model.",
    "upstream_timeout": "Ask for less or stream; raise the provider's `timeout` if it is always slow.",
    "deadline_exceeded": "Allow more time, ask for less, or raise `server.request_timeout_s`.",
    "overloaded": "Wait and try again; raise `limits` or start another process.",
    "draining": "Try again; another process answers.",
    "ledger_unavailable": "Whoever runs Gatemill looks at the log and the disk of `server.data_dir`.",
    "internal_error": "Report the request id; the log has the details.",
    "start_refused": "Do what the message says, then start again.",
}
UNSENT = frozenset(("client_closed_request", "start_refused"))  # in logs and on terminals only
_CONTROL_ONLY = frozenset((403, 405))
_RETRIED = frozenset((408, 409, 429))  # and 5xx, by OpenAI's and Anthropic's SDKs

# family: (schema, media type, word before the status in the name of the response)
_FAMILIES = {
    "openai": ("Error", "application/json", "OpenAI"),
    "anthropic": ("AnthropicError", "application/json", "Anthropic"),
    "problem": ("Problem", "application/problem+json", "Problem"),
}
_SHOWN: dict[int, GatemillError] = {
    400: errors.InvalidValue("`temperature`: Expected `float` <= 2.0.", param="temperature"),
    401: errors.InvalidApiKey("The API key has expired. Ask for a new one: gatemill keys rotate."),
    403: errors.PermissionDenied("Metrics need an admin key on a public address."),
    404: errors.ModelNotFound(
        "The model `gpt-0` does not exist or this key may not use it."
        " GET /v1/models lists the names.",
        param="model",
    ),
    405: errors.MethodNotAllowed("Use POST on this path."),
    408: errors.RequestTimeout("The body came too slowly. Send it faster."),
    409: errors.IdempotencyKeyBusy(
        "A request with this Idempotency-Key is still running. Wait, then repeat it."
    ),
    413: errors.RequestTooLarge("The body exceeds 33554432 bytes. Send less."),
    415: errors.UnsupportedEncoding("Content-Encoding must be gzip, deflate or identity."),
    421: errors.HostRefused("This Host is not served here. Add it to server.allowed_hosts."),
    422: errors.IdempotencyKeyReused(
        "This Idempotency-Key was used with another request. Make a new key for each."
    ),
    424: errors.ModelLoadFailed(
        "The model `minilm` cannot be loaded. GET /v1/runners tells an admin why.", param="model"
    ),
    429: errors.UpstreamRateLimited("The provider limits the rate of requests. Retry later."),
    431: errors.HeadersTooLarge("The headers exceed 32768 bytes."),
    500: errors.InternalError("This is our fault, not yours. See the log."),
    501: errors.ExtraNotInstalled(
        "This needs the package onnxruntime: pip install 'gatemill[local]'"
    ),
    502: errors.UpstreamUnreachable("The provider cannot be reached. Retry later."),
    503: errors.Overloaded("Too many requests are in flight here. Retry later."),
    504: errors.UpstreamTimeout("The provider timed out. Retry, or ask for less."),
}
EXAMPLE_ID = "req_1a1fc2352f5b0c6e8d9a4700001a"


def public() -> list[type[GatemillError]]:
    """One class for each public code, in the order of core/errors/."""
    found: dict[str, type[GatemillError]] = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, GatemillError):
            # Two codes are OpenAI's words for our limits and for the provider's alike.
            found.setdefault(kind.code, kind)
    return [kind for kind in found.values() if kind is not GatemillError]


def sdks_retry(kind: type[GatemillError]) -> bool:
    """Whether the SDKs of OpenAI and Anthropic send such a request again."""
    if kind.retry is not None:
        return kind.retry
    return kind.status in _RETRIED or kind.status >= 500


def listed() -> list[Json]:
    """Every error that can be an answer, by status."""
    found = [kind for kind in public() if kind.code not in UNSENT]
    return [
        {
            "code": kind.code,
            "status": kind.status,
            "meaning": meaning(kind),
            "remedy": REMEDIES[kind.code],
        }
        for kind in sorted(found, key=lambda kind: kind.status)
    ]


def components() -> dict[str, Json]:
    """All error responses, for the document's components."""
    return {
        f"{word}{status}": _response(status, family)
        for family, (_, _, word) in _FAMILIES.items()
        for status in _SHOWN
    }


def refs(family: str, statuses: Iterable[int] = ()) -> dict[str, Json]:
    """The error responses of one route; by default all that an inference request may get."""
    word = _FAMILIES[family][2]
    wanted = list(statuses) or [status for status in _SHOWN if status not in _CONTROL_ONLY]
    return {str(status): {"$ref": f"#/components/responses/{word}{status}"} for status in wanted}


def _response(status: int, family: str) -> Json:
    schema, media_type, _ = _FAMILIES[family]
    kinds = [k for k in public() if k.status == status and k.code not in UNSENT]
    names = ["x-request-id", *(["request-id"] if family == "anthropic" else [])]
    if any(sdks_retry(kind) for kind in kinds):
        names += ["retry-after", "retry-after-ms"]
    if any(kind.retry is not None for kind in kinds):
        names.append("x-should-retry")
    if status == 401:
        names.append("www-authenticate")
    said = msgspec.json.decode(failures.body(_SHOWN[status], family, EXAMPLE_ID))
    return {
        "description": "\n".join(f"- `{k.code}`: {meaning(k)}" for k in kinds),
        "headers": headers.refs(names),
        "content": {media_type: {"schema": ref(schema), "example": said}},
    }


def meaning(kind: type[GatemillError]) -> str:
    """What the error means, in a line."""
    return " ".join((kind.__doc__ or "").split())
