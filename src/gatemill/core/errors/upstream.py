"""The provider's failures. Rule: another target may be tried for each of them."""

from __future__ import annotations

from gatemill.core.errors.root import GatemillError


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
    is_sent = True  # False: nobody was there to be sent the request, so nobody bills for it

    @classmethod
    def unsent(cls, message: str) -> UpstreamTimeout:
        """The failure of an attempt of which no byte has left."""
        error = cls(message)
        error.is_sent = False
        return error
