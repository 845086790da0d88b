"""`gm.metered`: calls, failures and durations of a function, among the gateway's own numbers.

Rule: the labels are names that stand in the program, so their number is bounded.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import GatemillError
from gatemill.library.arguments import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gatemill.house import House
    from gatemill.library.arguments import Decorator, P, R

OPERATION = "function"
_OK, _GONE, _FAULT = 200, 499, 500  # as in HTTP, so that one rule of alerting fits all


def decorator(home: House, name: str | None) -> Decorator:
    """Counts each call under `gatemill_requests{operation="function", model=<name>}`."""
    meter, now = home.gateway.meter, home.gateway.now

    def metered(
        function: Callable[P, Coroutine[Any, Any, R]],
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        label = name_of(function, name)

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            began_s, status = now(), _FAULT
            try:
                result = await function(*args, **kwargs)
                status = _OK
            except GatemillError as error:
                status = error.status
                raise
            except asyncio.CancelledError:
                status = _GONE
                raise
            finally:
                series = meter.series(OPERATION, label, "", status)
                series.requests += 1
                series.duration.observe(now() - began_s)
            return result

        return call

    return metered
