"""The caller's mistakes. Rule: the message names the field and the remedy; no other target is tried."""

from __future__ import annotations

from gatemill.core.errors.root import GatemillError


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


class ContentBlocked(InvalidRequest):
    """A guard of this gateway found what may not pass, in the request or in its answer."""

    code = "content_filter"


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


class InvalidArguments(GatemillError):
    """The arguments of a job do not fit its kind; `param` is the path of the first that does not."""

    code = "invalid_arguments"
    status = 422
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
