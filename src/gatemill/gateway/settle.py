"""Stage 7: what happened becomes ledger rows, metrics and one log line.

Rule: called exactly once for every call that was identified, whatever became of it; one row per
attempt; the only place where cost is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.call import Call, Head, Usage
from gatemill.gateway.books import FREE, cost_of, may_be_billed
from gatemill.gateway.judging import with_verdicts
from gatemill.observe.spans import Asked
from gatemill.observe.trace import trace_of
from gatemill.upstream.attempt import estimated

if TYPE_CHECKING:
    from gatemill.core.call import Attempt, UsageRow
    from gatemill.core.errors import GatemillError
    from gatemill.gateway.parts import Caller, Gateway

_NOTHING = Usage()
_NO_HEAD = Head(model="")


def settle(gateway: Gateway, call: Call, caller: Caller, error: GatemillError | None) -> int | None:
    """The cost of the whole call in micro-dollars; None when a price is unknown."""
    ended_s = gateway.now()
    if call.verdicts:
        call.decision = with_verdicts(call.decision, call.verdicts)
    total: int | None = 0
    spent, tokens = call.besides_microusd, 0
    upstream_s = 0.0
    row: UsageRow | None = None
    hold = call.hold
    for attempt in call.attempts:
        row = _record(gateway, call, attempt)
        _count(gateway, call.label, row)
        cost = row.cost_microusd
        if cost is None:
            total = None
        else:
            spent += cost
            total = None if total is None else total + cost
        if hold is not None:
            tokens += row.prompt_tokens + row.completion_tokens
    if row is not None:
        # With the pauses between attempts, which are not our work.
        upstream_s = call.attempts[-1].ended_s - call.attempts[0].started_s
    elif call.cache and error is None:
        row = gateway.books.record_recalled(call, ended_s)
    if hold is not None:
        gateway.books.limiter.settle(hold, tokens, spent)
    duration_s = ended_s - call.started_s
    ours_s = duration_s - upstream_s
    status, code = 200, ""
    if error is not None:
        status, code = error.status, error.code
        gateway.meter.error(code)
    provider = row.provider if row is not None else ""
    series = gateway.meter.series(call.operation, call.label, provider, status)
    series.requests += 1
    series.duration.observe(duration_s)
    series.overhead.observe(ours_s)
    gateway.access.add(
        (call.arrived_at, call, caller, row, duration_s, ours_s, status, code, total)
    )
    if call.trace is not None:
        _trace(gateway, caller, (call, duration_s, ours_s, status, code, total))
    # The line waits a moment to be written; a large body need not.
    call.body = call.asked = b""
    return total


def refused(
    gateway: Gateway, operation: str, caller: Caller, request_id: str, error: GatemillError
) -> None:
    """A request that never became a call is counted and logged; it has no ledger row."""
    duration_s = gateway.now() - caller.started_s
    series = gateway.meter.series(operation, "", "", error.status)
    series.requests += 1
    series.duration.observe(duration_s)
    series.overhead.observe(duration_s)
    gateway.meter.error(error.code)
    call = Call(
        id=request_id,
        operation=operation,
        body=b"",
        head=_NO_HEAD,
        started_s=caller.started_s,
        deadline_s=0.0,
    )
    arrived_at = gateway.clock.unix_s() - duration_s
    if caller.traceparent or gateway.tracer is not None:
        call.arrived_at = arrived_at
        call.trace = trace_of(gateway.tracer, caller.traceparent)
        _trace(gateway, caller, (call, duration_s, duration_s, error.status, error.code, 0))
    gateway.access.add(
        (arrived_at, call, caller, None, duration_s, duration_s, error.status, error.code, 0)
    )


def _trace(
    gateway: Gateway, caller: Caller, end: tuple[Call, float, float, int, str, int | None]
) -> None:
    """Its spans will be made, if it is sampled. `end` is the call and the end of what `Asked` holds."""
    call = end[0]
    trace, tracer = call.trace, gateway.tracer
    if trace is not None and trace.is_sampled and tracer is not None:
        tracer.add(Asked(trace, call, caller.path.decode("latin-1"), *end[1:]))


def _record(gateway: Gateway, call: Call, attempt: Attempt) -> UsageRow:
    usage = attempt.usage
    is_free = call.operation in FREE
    if usage is None or attempt.error:
        usage = attempt.usage = _NOTHING if is_free else _partial_usage(call, attempt)
    cost: int | None = 0
    if usage is not _NOTHING and not is_free:
        cost = cost_of(attempt)
        if cost is None:
            gateway.meter.unpriced(attempt.target.provider)
    gateway.meter.attempt(attempt.target.provider, attempt.error or "ok")
    return gateway.books.record(call, attempt, cost)


def _partial_usage(call: Call, attempt: Attempt) -> Usage:
    said = attempt.usage or _NOTHING
    if attempt.error and not (attempt.events or may_be_billed(attempt)):
        return said
    # The stream was cut, or its usage never came. Prompt: what the provider said, else by size.
    # Answer: about one token an event.
    return Usage(
        input=said.input if said.prompt else estimated(call, 0).input,
        cache_read=said.cache_read,
        cache_write=said.cache_write,
        cache_write_1h=said.cache_write_1h,
        input_audio=said.input_audio,
        output=max(said.output, attempt.events - said.reasoning - said.output_audio),
        reasoning=said.reasoning,
        output_audio=said.output_audio,
        estimated=True,
    )


def _count(gateway: Gateway, label: str, row: UsageRow) -> None:
    """Tokens, cost and first byte of one attempt, also of one that another had to follow."""
    series = gateway.meter.series(row.operation, label, row.provider, row.status)
    counts = series.tokens
    counts[0] += row.input_tokens + row.input_audio_tokens
    counts[1] += row.cache_read_tokens
    counts[2] += row.cache_write_tokens
    counts[3] += row.output_tokens + row.reasoning_tokens + row.output_audio_tokens
    series.cost_microusd += row.cost_microusd or 0
    if row.first_token_ms is not None:
        series.first_token.observe(row.first_token_ms / 1e3)
