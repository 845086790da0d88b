"""What each failure says of target, load, key and trying again: one row for each."""

from __future__ import annotations

import pytest

from gatemill.core import errors
from gatemill.core.errors import GatemillError
from gatemill.upstream import outcome

# error, upstream's status, counts against the target, same target again
TABLE: tuple[tuple[type[GatemillError], int, bool, bool], ...] = (
    (errors.UpstreamUnreachable, 0, True, True),
    (errors.UpstreamTimeout, 0, True, False),
    (errors.UpstreamTimeout, 408, True, False),
    (errors.UpstreamTimeout, 504, True, False),
    (errors.UpstreamBadReply, 0, True, False),
    (errors.UpstreamInterrupted, 0, True, False),
    (errors.UpstreamOverloaded, 503, True, True),
    (errors.UpstreamOverloaded, 529, True, True),
    (errors.UpstreamError, 500, True, True),
    (errors.UpstreamError, 502, True, True),
    (errors.UpstreamError, 0, True, True),  # said inside a stream, before any content
    (errors.UpstreamError, 404, False, False),
    (errors.UpstreamRateLimited, 429, False, True),
    (errors.UpstreamQuotaSpent, 402, False, False),
    (errors.UpstreamAuthFailed, 401, False, False),
    (errors.UpstreamAuthFailed, 403, False, False),
    (errors.InvalidRequest, 400, False, False),
    (errors.ContentRefused, 400, False, False),
    (errors.UpstreamRefused, 422, False, False),
    (errors.RequestTooLarge, 413, False, False),
    (errors.ClientGone, 0, False, False),
    (errors.DeadlineExceeded, 0, False, False),
    (errors.Overloaded, 0, False, False),
    (errors.InternalError, 0, False, False),
)


@pytest.mark.parametrize(("kind", "status", "fails", "again"), TABLE)
def test_a_failure_counts_and_is_repeated_as_the_table_says(kind, status, fails, again):
    error = kind("why")
    assert outcome.is_failure(error, status) == fails
    assert outcome.repeats(error, status) == again


@pytest.mark.parametrize(
    ("kind", "answered", "overload"),
    [
        (errors.UpstreamTimeout, False, True),
        (errors.UpstreamTimeout, True, False),
        (errors.UpstreamRateLimited, True, True),
        (errors.UpstreamOverloaded, True, True),
        (errors.UpstreamUnreachable, False, False),
        (errors.UpstreamError, True, False),
        (errors.UpstreamRefused, True, False),
    ],
)
def test_overload_is_a_limit_or_a_silence(kind, answered, overload):
    assert outcome.is_overload(kind("why"), answered=answered) == overload


@pytest.mark.parametrize(
    ("error", "rest_s"),
    [
        (errors.UpstreamAuthFailed("no"), 300),
        (errors.UpstreamQuotaSpent("no"), 300),
        (errors.UpstreamRateLimited("no"), 30),
        (errors.UpstreamRateLimited("no", retry_after_s=2.5), 2.5),
        (errors.UpstreamRateLimited("no", retry_after_s=0.0), 0),
        (errors.UpstreamOverloaded("no", retry_after_s=9.0), None),
        (errors.UpstreamRefused("no"), None),
    ],
)
def test_a_key_rests_when_it_is_the_keys_fault(error, rest_s):
    assert outcome.key_rest_s(error) == rest_s
