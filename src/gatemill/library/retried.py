"""`gm.retried`: a function is asked again after a failure that may pass.

Rule: the pauses are those of the gateway, one deadline holds for all attempts, and what the last
attempt failed with is raised as it was.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import DeadlineExceeded, GatemillError
from gatemill.library.arguments import name_of
from gatemill.policy import backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gatemill.house import House
    from gatemill.library.arguments import Decorator, Errors, P, R
    from gatemill.upstream.course import Tries

_PASSING = frozenset((429, 503))  # what these say may be over soon


class Policy(Struct, frozen=True):
    """How often, after what, and how long."""

    attempts_max: int
    on: Errors
    backoff_s: float  # longest pause before the second attempt; it doubles
    backoff_max_s: float
    deadline_s: float | None  # for all attempts and pauses together


def decorator(home: House, policy: Policy) -> Decorator:
    """Up to `attempts_max` attempts; DeadlineExceeded when one is under way at the deadline."""
    tries = home.gateway.tries

    def retried(
        function: Callable[P, Coroutine[Any, Any, R]],
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        name = name_of(function)

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            ends_s = None if policy.deadline_s is None else tries.now() + policy.deadline_s
            limit = asyncio.timeout(policy.deadline_s)
            failed: Exception | None = None
            attempt = 0
            try:
                async with limit:
                    while True:
                        attempt += 1
                        try:
                            return await function(*args, **kwargs)
                        except policy.on as error:
                            failed = error
                            pause_s = _pause_s(policy, tries, attempt, error)
                            if pause_s is None or (
                                ends_s is not None and tries.now() + pause_s >= ends_s
                            ):
                                raise
                        await tries.sleep(pause_s)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise DeadlineExceeded(
                    f"{name} took longer than {policy.deadline_s} s in {attempt} attempts."
                ) from failed

        return call

    return retried


def _pause_s(policy: Policy, tries: Tries, attempt: int, error: Exception) -> float | None:
    """The pause before the next attempt, in seconds; None when there is none."""
    if attempt >= policy.attempts_max:
        return None
    pause_s = backoff.pause_s(attempt, policy.backoff_s, policy.backoff_max_s, tries.rng())
    if not isinstance(error, GatemillError):
        return pause_s
    retry_after_s = error.retry_after_s or 0.0
    if not _may_pass(error) or retry_after_s > tries.retries.retry_after_max_s:
        return None
    return max(pause_s, retry_after_s)


def _may_pass(error: GatemillError) -> bool:
    return error.retry is not False and (error.falls_back or error.status in _PASSING)
