"""Server spans of what is not inference. Rule: nothing here runs where no spans are sent.

Inference has its span from gateway/settle.py. What a route asks of models, and the jobs that it takes,
are below its span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gatemill.core.errors import GatemillError
from gatemill.core.trace import NOT_TRACED, current
from gatemill.edge import hot
from gatemill.observe.spans import Served
from gatemill.observe.trace import trace_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from gatemill.core.trace import Trace
    from gatemill.gateway.parts import Gateway

# They have their own span, or are asked by machines all the time.
UNTRACED = frozenset((*hot.PATHS.values(), "livez", "readyz", "metrics", "openapi", "docs"))


class Where(NamedTuple):
    """What is asked for."""

    method: str
    route: str  # with the names of what is in the path
    path: str


async def answered(
    gateway: Gateway, request: Request, route: str, work: Callable[[], Awaitable[Response]]
) -> Response:
    """What `work` answers, within a span of its own if it is traced. Raises what `work` raises."""
    where = Where(request.method, route, request.scope["path"])

    async def counted() -> tuple[Response, int]:
        answer = await work()
        return answer, answer.status_code

    traceparent = request.headers.get("traceparent", "").encode("latin-1")
    found: Response = await within(gateway, traceparent, where, counted)
    return found


async def within(
    gateway: Gateway,
    traceparent: bytes,
    where: Where,
    work: Callable[[], Awaitable[tuple[Any, int]]],
    *,
    tells_failures: bool = True,
) -> Any:
    """The first of what `work` gives, within a span; the second is the status.

    Raises what `work` raises, which has a span, too, unless somebody else tells of it.
    """
    trace = trace_of(gateway.tracer, traceparent)
    started_s = gateway.now()
    token = current.set(trace or NOT_TRACED)
    status, code = 500, "internal_error"
    try:
        found, status = await work()
        code = ""
    except GatemillError as error:
        status, code = error.status, error.code
        raise
    finally:
        current.reset(token)
        if trace is not None and trace.is_sampled and (tells_failures or not code):
            _add(gateway, trace, where, (started_s, status, code))
    return found


def _add(gateway: Gateway, trace: Trace, where: Where, end: tuple[float, int, str]) -> None:
    started_s, status, code = end
    assert gateway.tracer is not None, "who else has sampled it?"
    duration_s = gateway.now() - started_s
    arrived_at = gateway.clock.unix_s() - duration_s
    gateway.tracer.add(
        Served(
            trace=trace,
            method=where.method,
            route=where.route,
            path=where.path,
            arrived_at=arrived_at,
            duration_s=duration_s,
            status=status,
            error=code,
        )
    )
