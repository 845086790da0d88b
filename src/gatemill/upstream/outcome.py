"""What a failed attempt says: of the target's health, of its load, of the key, and of trying again.

Rule: a table of our own errors; `status` is the upstream's HTTP status, 0 when none came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnreachable,
)

if TYPE_CHECKING:
    from gatemill.core.errors import GatemillError

REFUSED_REST_S = 300.0  # of a key that the provider refuses, or that has no credit
LIMITED_REST_S = 30.0  # of a key that is rate limited, where the provider does not say how long

# They say something of our account, not of the provider's health.
_ACCOUNT = (UpstreamRateLimited, UpstreamQuotaSpent, UpstreamAuthFailed)


def is_providers(error: GatemillError) -> bool:
    """The provider failed, or our account with it; not the caller, and nothing of ours."""
    return isinstance(error, UpstreamError)


def is_failure(error: GatemillError, status: int) -> bool:
    """It counts against the target. Callers' mistakes, their leaving and our account never do.

    A 404 does not either: callers choose names where a pattern leads to a provider.
    """
    if not isinstance(error, UpstreamError) or isinstance(error, _ACCOUNT):
        return False
    return isinstance(error, UpstreamTimeout) or not 400 <= status < 500


def is_overload(error: GatemillError, *, answered: bool) -> bool:
    """The target has more requests than it can take. `answered`: a first byte has come."""
    if isinstance(error, UpstreamTimeout):
        return not answered
    return isinstance(error, (UpstreamRateLimited, UpstreamOverloaded))


def repeats(error: GatemillError, status: int) -> bool:
    """The same target may be asked again: it has not worked on the request, or broke by itself."""
    if type(error) is UpstreamError:
        return status >= 500 or status == 0
    return isinstance(error, (UpstreamUnreachable, UpstreamOverloaded, UpstreamRateLimited))


def key_rest_s(error: GatemillError) -> float | None:
    """How long the key that was used has to rest; None when it is not the key's fault."""
    if isinstance(error, (UpstreamAuthFailed, UpstreamQuotaSpent)):
        return REFUSED_REST_S
    if isinstance(error, UpstreamRateLimited):
        return LIMITED_REST_S if error.retry_after_s is None else error.retry_after_s
    return None
