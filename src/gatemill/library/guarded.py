"""`gm.guarded`: a function that keeps failing is left alone, as a target would be.

Rule: the breaker is a target's lane, so its states are logged, counted and exported like others'.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import CircuitOpen, ClientGone, GatemillError, UpstreamError
from gatemill.library.arguments import name_of
from gatemill.policy.breaker import BreakerSettings
from gatemill.upstream.lane import LaneSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gatemill.house import House
    from gatemill.library.arguments import Decorator, Errors, P, R

PREFIX = "function/"
_NO_LIMIT = 1 << 30  # of calls at once, which is not this decorator's business
_FAILED = UpstreamError("The function failed.")
_SAYS_NOTHING = ClientGone("The call says nothing of the function's health.")


def settings(failures: int, window_s: float, open_s: float) -> LaneSettings:
    """A lane that opens at `failures` in `window_s`, for `open_s`; it doubles with failed probes."""
    breaker = BreakerSettings(
        window_s=window_s, failures=failures, attempts_min=_NO_LIMIT, open_s=open_s
    )
    return LaneSettings(breaker=breaker, concurrency_max=_NO_LIMIT, waiting_max=0)


def decorator(home: House, name: str | None, chosen: LaneSettings, on: Errors) -> Decorator:
    """While the breaker of `name` is open, calls fail with CircuitOpen; one probe closes it."""
    lanes, now = home.lasting.lanes, home.gateway.now

    def guarded(
        function: Callable[P, Coroutine[Any, Any, R]],
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        label = name_of(function, name)
        lane = lanes.of(PREFIX + label, chosen)

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            slot = lane.enter(now(), float("inf"))
            if slot is None:
                raise CircuitOpen(
                    f"The function {label} failed lately and is left alone. Retry later.",
                    retry_after_s=lane.opens_s(now()),
                )
            verdict: GatemillError | None = _SAYS_NOTHING
            try:
                result = await function(*args, **kwargs)
                verdict = None
            except on as error:
                if not _is_callers(error):
                    verdict = _FAILED
                raise
            finally:
                slot.end(verdict, now())
            return result

        return call

    return guarded


def _is_callers(error: Exception) -> bool:
    """A caller's mistake, or a limit of the caller's: it opens no breaker."""
    return isinstance(error, GatemillError) and error.status < 500
