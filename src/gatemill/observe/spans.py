"""What became of a request or a job -> spans. Rule: pure; no message, no answer, no key is ever an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from gatemill.observe import semconv as said
from gatemill.observe.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Attempt, Call
    from gatemill.core.trace import Trace

Value = str | int | float | bool | tuple[str, ...]
NAME_CHARS_MAX = 200  # of a name that a caller made up
PATH_CHARS_MAX = 1000

# What odd numbers and texts raise where spans and their bytes are made; the thread lives on.
UNMADE = (ArithmeticError, LookupError, TypeError, ValueError)
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5  # as OTLP numbers them


class Span(Struct, frozen=True):
    """A piece of work that is over. Times are Unix seconds."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_s: float
    end_s: float
    attributes: dict[str, Value]
    events: tuple[tuple[float, str], ...] = ()
    links: tuple[tuple[str, str, bool], ...] = ()  # trace id, span id, whether it was sampled
    error: str = ""  # our code


class Asked(Struct, frozen=True):
    """A request that was answered by the gateway; what settling it hands over."""

    trace: Trace
    call: Call
    path: str  # "" where no HTTP request asked
    duration_s: float
    ours_s: float
    status: int
    error: str
    cost_microusd: int | None


class Served(Struct, frozen=True):
    """A request that the control plane answered."""

    trace: Trace
    method: str
    route: str
    path: str
    arrived_at: float
    duration_s: float
    status: int
    error: str


class Ran(Struct, frozen=True):
    """One attempt of a job."""

    trace: Trace
    submitted: Trace | None  # whoever asked for it
    id: str
    kind: str
    queue: str
    attempt: int
    started_at: float
    duration_s: float
    outcome: str
    error: str


Seen = Asked | Served | Ran


def count(seen: Seen) -> int:
    """How many spans it becomes."""
    return 1 + len(seen.call.attempts) if isinstance(seen, Asked) else 1


class Maker:
    """Spans of this configuration."""

    def __init__(self, names: said.Names, kinds: Mapping[str, str]) -> None:
        """`kinds` says of each configured provider what it is."""
        self._names = names
        self._kinds = kinds

    def spans(self, seen: Seen) -> list[Span]:
        """The span of the work itself first."""
        if isinstance(seen, Asked):
            started_s = seen.call.started_s
            shift_s = seen.call.arrived_at - started_s  # monotonic -> Unix
            attempts = [self._attempt(seen, one, shift_s) for one in seen.call.attempts]
            return [self._asked(seen), *attempts]
        return [_served(seen) if isinstance(seen, Served) else _ran(seen)]

    def _asked(self, seen: Asked) -> Span:
        call = seen.call
        model = hide(call.head.model[:NAME_CHARS_MAX])
        attributes: dict[str, Value] = {
            said.REQUEST_ID: call.id,
            said.MODEL_ASKED: model,
            said.ATTEMPTS: len(call.attempts),
            said.OVERHEAD: round(seen.ours_s * 1e3, 3),
        }
        if call.key is not None:
            attributes[said.KEY_ID] = call.key.id
        if seen.cost_microusd is not None:
            attributes[said.COST] = seen.cost_microusd
        if call.cache:
            attributes[said.CACHE] = call.cache
        if call.job_id:
            attributes[said.JOB_ID] = call.job_id
        if seen.path:
            attributes |= _http("POST", seen.path, seen.path, seen.status)
            name, kind = f"POST {seen.path}", SERVER
        else:
            name, kind = f"{call.operation} {model}".rstrip(), INTERNAL
        return _span(seen.trace, (name, kind), (call.arrived_at, seen.duration_s), attributes, seen)

    def _attempt(self, seen: Asked, tried: Attempt, shift_s: float) -> Span:
        call, target = seen.call, tried.target
        kind = self._kinds.get(target.provider, target.provider)
        operation = said.operation_name(call.operation)
        attributes: dict[str, Value] = {
            said.OPERATION_NAME: operation,
            said.PROVIDER_NAME: said.provider_name(kind),
            said.PROVIDER: target.provider,
            said.REQUEST_MODEL: target.model,
            said.RESPONSE_MODEL: target.version or target.model,
            said.REQUEST_STREAM: call.head.stream,
            said.ATTEMPT: tried.number,
        }
        if call.head.output_max is not None:
            attributes[said.REQUEST_MAX_TOKENS] = call.head.output_max
        if call.head.choices != 1:
            attributes[said.REQUEST_CHOICES] = call.head.choices
        if call.finish and not tried.error:
            attributes[said.RESPONSE_FINISH_REASONS] = (call.finish[:NAME_CHARS_MAX],)
        self._usage(tried, attributes)
        _server(target.settings.base_url, attributes)
        events: tuple[tuple[float, str], ...] = ()
        if tried.first_byte_s:
            events = ((tried.first_byte_s + shift_s, said.FIRST_BYTE),)
            if call.head.stream:
                waited_s = tried.first_byte_s - tried.started_s
                attributes[said.TIME_TO_FIRST_CHUNK] = round(waited_s, 6)
        if tried.error:
            attributes |= {said.ERROR_TYPE: tried.error, said.HTTP_STATUS: tried.status}
            del attributes[said.RESPONSE_MODEL]
        return Span(
            name=f"{operation} {target.model}",
            kind=INTERNAL if kind in said.IN_PROCESS else CLIENT,
            trace_id=seen.trace.id,
            span_id=seen.trace.attempt(tried.number),
            parent_id=seen.trace.span,
            start_s=tried.started_s + shift_s,
            end_s=(tried.ended_s or tried.started_s) + shift_s,
            attributes=attributes,
            events=events,
            error=tried.error,
        )

    def _usage(self, tried: Attempt, attributes: dict[str, Value]) -> None:
        usage = tried.usage
        if usage is None or not (usage.prompt or usage.completion):
            return
        attributes[said.USAGE_INPUT] = usage.prompt
        attributes[said.USAGE_OUTPUT] = usage.completion
        more = {
            said.USAGE_CACHE_READ: usage.cache_read,
            self._names.cache_write: usage.cache_written,
            said.USAGE_REASONING: usage.reasoning,
        }
        attributes |= {name: tokens for name, tokens in more.items() if tokens}
        if usage.estimated:
            attributes[said.USAGE_ESTIMATED] = True


def _served(seen: Served) -> Span:
    # Somebody may have put their key into it.
    path = hide(seen.path[:PATH_CHARS_MAX])
    attributes = _http(seen.method, seen.route, path, seen.status)
    what = f"{seen.method} {seen.route}", SERVER
    return _span(seen.trace, what, (seen.arrived_at, seen.duration_s), attributes, seen)


def _ran(seen: Ran) -> Span:
    attributes: dict[str, Value] = {
        said.JOB_ID: seen.id,
        said.JOB_KIND: seen.kind,
        said.JOB_QUEUE: seen.queue,
        said.JOB_ATTEMPT: seen.attempt,
        said.JOB_OUTCOME: seen.outcome,
    }
    links: tuple[tuple[str, str, bool], ...] = ()
    if (by := seen.submitted) is not None:
        links = ((by.id, by.span, by.is_sampled),)
    what = f"job {seen.kind}", CONSUMER
    return _span(seen.trace, what, (seen.started_at, seen.duration_s), attributes, seen, links)


def _span(
    trace: Trace,
    what: tuple[str, int],
    when: tuple[float, float],
    attributes: dict[str, Value],
    seen: Seen,
    links: tuple[tuple[str, str, bool], ...] = (),
) -> Span:
    """`what` is name and kind; `when` is the start, and for how long."""
    if seen.error:
        attributes[said.ERROR_TYPE] = seen.error
    return Span(
        name=what[0],
        kind=what[1],
        trace_id=trace.id,
        span_id=trace.span,
        parent_id=trace.parent,
        start_s=when[0],
        end_s=when[0] + when[1],
        attributes=attributes,
        links=links,
        # What a caller did wrong is no failure of a server span, by the conventions.
        error=seen.error if what[1] != SERVER or _status(seen) >= 500 else "",
    )


def _status(seen: Seen) -> int:
    return 0 if isinstance(seen, Ran) else seen.status


def _http(method: str, route: str, path: str, status: int) -> dict[str, Value]:
    return {
        said.HTTP_METHOD: method,
        said.HTTP_ROUTE: route,
        said.URL_PATH: path,
        said.URL_SCHEME: "http",
        said.HTTP_STATUS: status,
    }


def _server(base_url: str, attributes: dict[str, Value]) -> None:
    if not base_url:
        return
    parts = urlsplit(base_url)
    attributes[said.SERVER_ADDRESS] = parts.hostname or ""
    attributes[said.SERVER_PORT] = parts.port or (443 if parts.scheme == "https" else 80)
