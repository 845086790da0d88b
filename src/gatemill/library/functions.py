"""The gateway's parts, one by one, for a program's own async functions.

Rule: nothing is decided here; arguments are checked when a function is decorated, and handed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import GatemillError
from gatemill.core.version import VERSION
from gatemill.library import arguments, cached, guarded, limited, metered, retried
from gatemill.observe import metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from gatemill.house import House
    from gatemill.library.arguments import Decorator, Errors

_ANY: Errors = (Exception,)
_PASSING: Errors = (GatemillError, OSError)  # TimeoutError and ConnectionError are OSErrors


class Functions:
    """Decorators for `async def` functions; they keep the signature and can be stacked."""

    def __init__(self, home: House) -> None:
        self._home = home

    def cached(
        self,
        *,
        ttl_s: float,
        stale_s: float = 0.0,
        stale_on: Errors = _ANY,
        key: Callable[..., Any] | None = None,
    ) -> Decorator:
        """Equal calls share one result for `ttl_s` seconds, and wait for one that is under way.

        The result is kept as JSON, in the type of the return annotation. Up to `stale_s` seconds
        longer it is given when the function fails with one of `stale_on`. Calls are equal when their
        arguments are, which must be JSON; or what `key`, called with them, returns. Raises
        InvalidType and InvalidValue; a call raises TypeError for what is no JSON.
        """
        arguments.seconds(ttl_s=ttl_s)
        arguments.seconds_or_none(stale_s=stale_s)
        arguments.errors(stale_on=stale_on)
        return cached.decorator(self._home, cached.Keeping(ttl_s, stale_s, stale_on, key))

    def limited(
        self,
        *,
        name: str | None = None,
        wait_s: float = 0.0,
        tokens: int | Callable[..., int] = 0,
        usd: float | Callable[..., float] = 0,
        **limits: Unpack[limited.Allowed],
    ) -> Decorator:
        """Calls beyond a limit fail with RateLimited or BudgetSpent, and have consumed nothing.

        `tokens` and `usd` are what one call takes: an amount, or a function of its arguments. A call
        waits for at most `wait_s` seconds, if that helps. Functions with one name share its limits.
        Raises InvalidType, InvalidValue and TypeError.
        """
        arguments.seconds_or_none(wait_s=wait_s)
        cost = limited.Cost(tokens, usd)
        return limited.decorator(self._home, name, limited.limits_of(limits), cost, wait_s)

    def retried(
        self,
        *,
        attempts_max: int = 3,
        on: Errors = _PASSING,
        backoff_s: float = 0.25,
        backoff_max_s: float = 8.0,
        deadline_s: float | None = None,
    ) -> Decorator:
        """A function that fails with one of `on` is called again, at most `attempts_max` times in all.

        Before the second attempt is a random pause of up to `backoff_s` seconds, which doubles with
        each, up to `backoff_max_s`. A GatemillError is repeated only where that can help, and not
        before its `retry_after_s`. At `deadline_s` the call fails with DeadlineExceeded. Raises
        InvalidType and InvalidValue.
        """
        arguments.counts(attempts_max=attempts_max)
        arguments.errors(on=on)
        arguments.seconds(backoff_s=backoff_s, backoff_max_s=backoff_max_s, deadline_s=deadline_s)
        policy = retried.Policy(attempts_max, on, backoff_s, backoff_max_s, deadline_s)
        return retried.decorator(self._home, policy)

    def guarded(
        self,
        *,
        name: str | None = None,
        failures: int = 3,
        window_s: float = 60.0,
        open_s: float = 30.0,
        on: Errors = _ANY,
    ) -> Decorator:
        """After `failures` in `window_s` seconds, calls fail with CircuitOpen for `open_s` seconds.

        Then one call is let through, and its result decides. Exceptions of `on` are failures, but not
        a caller's mistakes. Functions with one name share its breaker. Raises InvalidType and
        InvalidValue.
        """
        arguments.counts(failures=failures)
        arguments.seconds(window_s=window_s, open_s=open_s)
        arguments.errors(on=on)
        return guarded.decorator(self._home, name, guarded.settings(failures, window_s, open_s), on)

    def metered(self, *, name: str | None = None) -> Decorator:
        """Calls, failures and durations are in `metrics`, under the operation "function"."""
        return metered.decorator(self._home, name)

    def metrics(self) -> bytes:
        """All metrics of this gateway, as Prometheus reads them."""
        gateway = self._home.gateway
        return metrics.page(gateway.meter, VERSION, gateway.version)
