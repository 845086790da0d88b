"""A job's place in a trace. Rule: a trace of its own for each attempt, linked to whoever submitted it.

What it asks of models on the way is below its span, whoever asks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.job import Again, Failed, Postponed
from gatemill.core.trace import NOT_TRACED, current, parse
from gatemill.observe.spans import Ran

if TYPE_CHECKING:
    from gatemill.core.job import Outcome
    from gatemill.core.trace import Trace
    from gatemill.jobs.runner import Run

_WITH_ERROR = (Again, Failed, Postponed)


def begin(one: Run) -> Trace | None:
    """The job's task knows its place from now on; None where it is not traced."""
    gateway = one.services.gateway
    if gateway.tracer is None:
        return None
    trace = gateway.tracer.link(parse(one.claimed.job.traceparent))
    current.set(trace or NOT_TRACED)
    return trace


def end(one: Run, trace: Trace, outcome: Outcome | None) -> None:
    """The attempt is over, one way or another."""
    gateway, job = one.services.gateway, one.claimed.job
    assert gateway.tracer is not None, "it has begun the trace"
    duration_s = gateway.now() - one.started_s
    gateway.tracer.add(
        Ran(
            trace=trace,
            submitted=parse(job.traceparent),
            id=job.id,
            kind=job.kind,
            queue=job.queue,
            attempt=job.attempt,
            started_at=gateway.clock.unix_s() - duration_s,
            duration_s=duration_s,
            outcome="lost" if outcome is None else type(outcome).__name__.lower(),
            error=outcome.error.code if isinstance(outcome, _WITH_ERROR) else "",
        )
    )
