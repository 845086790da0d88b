"""Stage 7: what happened becomes ledger rows, metrics and one log line.

Rule: called exactly once for every call that was identified, whatever became of it; one row per
attempt; the only place where cost is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.call import Usage, UsageRow
from gatemill.core.money import microusd
from gatemill.observe.access import Access
from gatemill.policy.price import cost_pico
from gatemill.upstream.attempt import estimated

if TYPE_CHECKING:
    from gatemill.core.call import Attempt, Call
    from gatemill.core.errors import GatemillError
    from gatemill.gateway.parts import Caller, Gateway

_NOTHING = Usage()
# The provider may have worked before these ended an attempt, and will bill for it.
_MAY_BE_BILLED = frozenset(("client_closed_request", "upstream_interrupted", "upstream_timeout"))


def settle(
    gateway: Gateway, call: Call, caller: Caller, label: str, error: GatemillError | None
) -> int | None:
    """The cost of the whole call in micro-dollars; None when a price is unknown.

    `label` is the route's configured name, for metrics.
    """
    ended_s = gateway.now()
    total: int | None = 0
    upstream_s = 0.0
    for attempt in call.attempts:
        cost = _record(gateway, call, attempt)
        total = None if cost is None or total is None else total + cost
        upstream_s += attempt.ended_s - attempt.started_s
    _observe(gateway, call, caller, label, (ended_s, upstream_s, total), error)
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
    gateway.access.add(
        Access(
            ts=gateway.clock.unix_s() - duration_s,
            request_id=request_id,
            status=error.status,
            operation=operation,
            model="",
            target="",
            key="",
            duration_ms=duration_s * 1e3,
            ours_ms=duration_s * 1e3,
            first_token_ms=None,
            attempts=0,
            input_tokens=0,
            output_tokens=0,
            cost_microusd=0,
            stream=False,
            error=error.code,
            client_request_id=caller.client_request_id,
            retries=caller.retries,
        )
    )


def _record(gateway: Gateway, call: Call, attempt: Attempt) -> int | None:
    target = attempt.target
    usage = attempt.usage = _usage(call, attempt)
    cost: int | None = 0
    if usage is not _NOTHING:
        cost = None if target.price is None else microusd(cost_pico(target.price, usage))
    meter = gateway.meter
    meter.attempt(target.provider, attempt.error or "ok")
    if cost is None:
        meter.unpriced(target.provider)
    first_s = attempt.first_byte_s
    gateway.record(
        UsageRow(
            attempt_id=f"{call.id}-{attempt.number}",
            request_id=call.id,
            attempt=attempt.number,
            at=call.arrived_at + (attempt.started_s - call.started_s),
            key_id=call.key.id if call.key else "",
            operation=call.operation,
            model=call.head.model,
            provider=target.provider,
            target_model=target.model,
            stream=call.head.stream,
            status=attempt.status,
            error=attempt.error,
            input_tokens=usage.input,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
            input_audio_tokens=usage.input_audio,
            output_tokens=usage.output,
            reasoning_tokens=usage.reasoning,
            output_audio_tokens=usage.output_audio,
            estimated=usage.estimated,
            cost_microusd=cost,
            latency_ms=(attempt.ended_s - attempt.started_s) * 1e3,
            first_token_ms=(first_s - attempt.started_s) * 1e3 if first_s else None,
        )
    )
    return cost


def _usage(call: Call, attempt: Attempt) -> Usage:
    said = attempt.usage
    if said is not None and not attempt.error:
        return said
    if attempt.error and not (attempt.events or attempt.error in _MAY_BE_BILLED):
        return said or _NOTHING
    # The stream was cut, or its usage never came. Prompt: what the provider said, else by size.
    # Answer: about one token an event.
    said = said or _NOTHING
    return Usage(
        input=said.input if said.prompt else estimated(call, 0).input,
        cache_read=said.cache_read,
        cache_write=said.cache_write,
        output=max(said.output, attempt.events),
        reasoning=said.reasoning,
        estimated=True,
    )


def _observe(
    gateway: Gateway,
    call: Call,
    caller: Caller,
    label: str,
    sums: tuple[float, float, int | None],
    error: GatemillError | None,
) -> None:
    ended_s, upstream_s, cost = sums
    attempt = call.attempts[-1] if call.attempts else None
    status = error.status if error is not None else 200
    duration_s = ended_s - call.started_s
    ours_s = max(0.0, duration_s - upstream_s)
    provider = attempt.target.provider if attempt else ""
    first_ms: float | None = None
    usage = _NOTHING
    series = gateway.meter.series(call.operation, label, provider, status)
    series.requests += 1
    series.duration.observe(duration_s)
    series.overhead.observe(ours_s)
    if attempt is not None:
        usage = attempt.usage or _NOTHING
        counts = series.tokens
        counts[0] += usage.input + usage.input_audio
        counts[1] += usage.cache_read
        counts[2] += usage.cache_write
        counts[3] += usage.completion
        series.cost_microusd += cost or 0
        if attempt.first_byte_s:
            first_s = attempt.first_byte_s - attempt.started_s
            series.first_token.observe(first_s)
            first_ms = first_s * 1e3
    if error is not None:
        gateway.meter.error(error.code)
    gateway.access.add(
        Access(
            ts=call.arrived_at,
            request_id=call.id,
            status=status,
            operation=call.operation,
            model=call.head.model,
            target=attempt.target.label if attempt else "",
            key=call.key.id if call.key else "",
            duration_ms=duration_s * 1e3,
            ours_ms=ours_s * 1e3,
            first_token_ms=first_ms,
            attempts=len(call.attempts),
            input_tokens=usage.prompt,
            output_tokens=usage.completion,
            cost_microusd=cost,
            stream=call.head.stream,
            error=error.code if error is not None else "",
            client_request_id=caller.client_request_id,
            retries=caller.retries,
        )
    )
