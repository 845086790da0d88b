"""Every failure a caller can see: one class per public code.

Rule: a message says what to do next and never contains a key, a body or a foreign exception's text.
`edge/failures.py` is the only place that turns these into bytes. The codes are listed in docs/errors.md.
"""

from __future__ import annotations

from typing import ClassVar


class GatemillError(Exception):
    """A failure with a public code.

    Class attributes: `code` (what clients switch on), `status` (HTTP), `type` (OpenAI's error type),
    `anthropic_type` (the same on /v1/messages), `retry` (None leaves the choice to the SDK's rules,
    True or False is sent as `x-should-retry`), `falls_back` (the next target may be tried).
    Instance attributes: `message`, `param` (the field at fault), `retry_after_s` (seconds),
    `headers` (further header lines of the answer, each ending in CRLF).
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    anthropic_type: ClassVar[str] = "api_error"
    retry: ClassVar[bool | None] = None
    falls_back: ClassVar[bool] = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.headers = b""


# --- The caller's mistakes -------------------------------------------------------------------


class InvalidRequest(GatemillError):
    """The body cannot be accepted as it is."""

    code = "invalid_request"
    status = 400
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class InvalidJson(InvalidRequest):
    """The body is not JSON, not UTF-8, or holds NaN."""

    code = "invalid_json"


class MissingParameter(InvalidRequest):
    """A required field is absent."""

    code = "missing_required_parameter"


class InvalidType(InvalidRequest):
    """A field has another JSON type than the API defines."""

    code = "invalid_type"


class InvalidValue(InvalidRequest):
    """A field has the right type and a value outside its range."""

    code = "invalid_value"


class UnsupportedParameter(InvalidRequest):
    """A field cannot be carried over to the chosen target."""

    code = "unsupported_parameter"


class UnsupportedOperation(InvalidRequest):
    """The model exists and cannot do this, for example embeddings from a chat-only provider."""

    code = "unsupported_operation"


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit the model."""

    code = "context_length_exceeded"


class ContentRefused(InvalidRequest):
    """The provider's content policy refused the prompt."""

    code = "content_policy_violation"


class UpstreamRefused(InvalidRequest):
    """The provider called the request invalid; its words are passed on, cleaned and cut."""

    code = "upstream_invalid_request"


class JsonTooDeep(InvalidRequest):
    """Arrays and objects are nested deeper than the limit."""

    code = "json_too_deep"


class HeaderInvalid(InvalidRequest):
    """A header is repeated, contradictory or not HTTP."""

    code = "invalid_header"


class InvalidApiKey(GatemillError):
    """No key, an unknown key, or one that expired or was revoked. 401 is used for nothing else."""

    code = "invalid_api_key"
    status = 401
    type = "authentication_error"
    anthropic_type = "authentication_error"
    retry = False


class PermissionDenied(GatemillError):
    """The key is good and lacks the scope."""

    code = "permission_denied"
    status = 403
    type = "permission_error"
    anthropic_type = "permission_error"
    retry = False


class ModelNotFound(GatemillError):
    """No such model, or not for this key; the two look alike on purpose."""

    code = "model_not_found"
    status = 404
    type = "invalid_request_error"
    anthropic_type = "not_found_error"
    retry = False


class NotFound(GatemillError):
    """No such path or object."""

    code = "not_found"
    status = 404
    type = "invalid_request_error"
    anthropic_type = "not_found_error"
    retry = False


class MethodNotAllowed(GatemillError):
    """The path exists with another method."""

    code = "method_not_allowed"
    status = 405
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class RequestTimeout(GatemillError):
    """The caller sent its request too slowly."""

    code = "request_timeout"
    status = 408
    type = "invalid_request_error"
    anthropic_type = "timeout_error"


class RequestTooLarge(GatemillError):
    """The body is larger than the limit."""

    code = "request_too_large"
    status = 413
    type = "invalid_request_error"
    anthropic_type = "request_too_large"
    retry = False


class UnsupportedEncoding(GatemillError):
    """The body's content encoding or media type is not accepted."""

    code = "unsupported_encoding"
    status = 415
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class HostRefused(GatemillError):
    """The Host header names a host that this process does not serve."""

    code = "host_not_allowed"
    status = 421
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class HeadersTooLarge(GatemillError):
    """Too many header fields or too many header bytes."""

    code = "headers_too_large"
    status = 431
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class RateLimited(GatemillError):
    """A limit of the key, its user, its team or the model is reached; nothing was consumed."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"
    anthropic_type = "rate_limit_error"


class BudgetSpent(GatemillError):
    """A hard budget of the key, its user, its team or the model has no room for this request."""

    code = "insufficient_quota"
    status = 429
    type = "insufficient_quota"
    anthropic_type = "rate_limit_error"
    retry = False


class PriceUnknown(InvalidRequest):
    """The caller has a hard budget and the model has no price to count with."""

    code = "price_unknown"


class IdempotencyKeyReused(GatemillError):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_key_reused"
    status = 422
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class IdempotencyKeyBusy(GatemillError):
    """A request with this Idempotency-Key is still running."""

    code = "idempotency_key_busy"
    status = 409
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = True


class IdempotencyAnswerLost(GatemillError):
    """The request with this Idempotency-Key was answered, and its answer was too large to keep."""

    code = "idempotency_answer_lost"
    status = 409
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class Conflict(GatemillError):
    """The object exists already, or is in use."""

    code = "conflict"
    status = 409
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    retry = False


class ClientGone(GatemillError):
    """The caller hung up. Written to the ledger, never sent."""

    code = "client_closed_request"
    status = 499
    type = "invalid_request_error"
    anthropic_type = "invalid_request_error"


# --- The provider's failures ------------------------------------------------------------------


class UpstreamError(GatemillError):
    """The provider failed in a way that is not the caller's doing."""

    code = "upstream_error"
    status = 502
    type = "upstream_error"
    falls_back = True


class UpstreamUnreachable(UpstreamError):
    """No connection to the provider could be made, or it closed before answering."""

    code = "upstream_unreachable"


class UpstreamAuthFailed(UpstreamError):
    """The provider refused OUR key. Never a 401 to the caller, whose key is fine."""

    code = "upstream_auth_failed"


class UpstreamBadReply(UpstreamError):
    """The provider's answer was not what its API defines."""

    code = "upstream_bad_reply"


class UpstreamInterrupted(UpstreamError):
    """The provider's stream ended before the answer did."""

    code = "upstream_interrupted"


class UpstreamRateLimited(UpstreamError):
    """The provider limits us; every target of the model does."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"
    anthropic_type = "rate_limit_error"


class CircuitOpen(UpstreamError):
    """Every target of the model failed lately and is left alone for a moment."""

    code = "circuit_open"
    status = 503
    anthropic_type = "overloaded_error"


class QueueFull(UpstreamError):
    """The model's targets are busy, and as many requests wait for them as may."""

    code = "queue_full"
    status = 503
    anthropic_type = "overloaded_error"


class UpstreamQuotaSpent(UpstreamError):
    """The provider account behind the model has no credit left."""

    code = "insufficient_quota"
    status = 429
    type = "rate_limit_error"
    anthropic_type = "rate_limit_error"
    retry = False


class UpstreamOverloaded(UpstreamError):
    """The provider says it is overloaded."""

    code = "upstream_overloaded"
    status = 503
    anthropic_type = "overloaded_error"


class UpstreamTimeout(UpstreamError):
    """The provider took longer than the target's timeouts allow."""

    code = "upstream_timeout"
    status = 504
    anthropic_type = "timeout_error"


# --- Our own state -----------------------------------------------------------------------------


class DeadlineExceeded(GatemillError):
    """The request's own deadline passed."""

    code = "deadline_exceeded"
    status = 504
    type = "server_error"
    anthropic_type = "timeout_error"


class CacheMiss(GatemillError):
    """The caller asked for a kept answer only (`Cache-Control: only-if-cached`), and there is none."""

    code = "cache_miss"
    status = 504
    type = "invalid_request_error"
    anthropic_type = "not_found_error"
    retry = False


class Overloaded(GatemillError):
    """This process has as many requests in flight as it accepts."""

    code = "overloaded"
    status = 503
    type = "server_error"
    anthropic_type = "overloaded_error"


class Draining(GatemillError):
    """This process is shutting down."""

    code = "draining"
    status = 503
    type = "server_error"
    anthropic_type = "overloaded_error"


class LimitsUnavailable(GatemillError):
    """The shared counters are away, and a hard budget must not be guessed (`stores.when_away`)."""

    code = "limits_unavailable"
    status = 503
    type = "server_error"
    anthropic_type = "overloaded_error"


class LedgerUnavailable(GatemillError):
    """The database of keys and usage cannot be opened, read or written."""

    code = "ledger_unavailable"
    status = 503
    type = "server_error"
    anthropic_type = "api_error"


class InternalError(GatemillError):
    """Our own fault. The request id finds the log line."""


class StartRefused(GatemillError):
    """The program does not start like this; the message says how it would."""

    code = "start_refused"
