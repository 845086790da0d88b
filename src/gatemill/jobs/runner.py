"""One attempt of a job, from its arguments to its outcome.

Rule: whatever the kind does, an outcome comes of it. No text of an exception reaches the row: what
we do not know is `internal_error`, and the log has the rest.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from msgspec import UNSET, Struct

from gatemill.core.errors import (
    CircuitOpen,
    Draining,
    GatemillError,
    InvalidArguments,
    LedgerUnavailable,
    LimitsUnavailable,
    Overloaded,
    QueueFull,
    RateLimited,
)
from gatemill.core.job import (
    Again,
    Failed,
    Postponed,
    Problem,
    Released,
    Stopped,
    Succeeded,
    Waiting,
)
from gatemill.jobs.context import Context, Parts, Quit
from gatemill.jobs.eventlog import Lost
from gatemill.policy.backoff import pause_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.job import Claimed, Outcome, Progress
    from gatemill.jobs.services import Services

# Nothing has been sent: the attempt does not count.
NOT_YET = (
    RateLimited,
    Overloaded,
    QueueFull,
    CircuitOpen,
    LimitsUnavailable,
    Draining,
    LedgerUnavailable,
)
_POSTPONED_S = (1.0, 300.0)  # the shortest and the longest pause before another look
_UNKNOWN_S = 15.0  # until another worker may know the kind: one of a newer version, say
_NEW_S = 10.0  # of a job, within which its key may have been made a moment before
_RETRY_AFTER_S_MAX = 86_400.0  # a provider may say so much; more is taken for a mistake


class Run(Struct, eq=False):
    """A job that runs here. Written by the worker, read by the runner."""

    claimed: Claimed
    services: Services
    started_s: float  # monotonic
    # Why its task is cancelled: "cancel", "drain" or "fenced"; "" while it is not.
    why: str = ""
    settling: bool = False  # it has ended, and its outcome is on its way to the ledger
    progress: Progress | None = None  # the last that it told
    begun: bool = False  # its task has
    rescued: bool = False  # its end failed by a fault of ours, and a plain one is tried
    task: asyncio.Task[None] | None = None


async def run(
    one: Run, report: Callable[[Claimed, Progress], None], rng: Callable[[], float]
) -> Outcome | None:
    """How the attempt ended; None when its claim has, and nothing may be written.

    Raises CancelledError when the worker did not ask for it.
    """
    context = Context(one.claimed, one.services, report)
    try:
        if one.why:
            return _stopped(one)
        if one.claimed.job.kind not in one.services.kinds.names:
            return Postponed(_UNKNOWN, one.services.clock.unix_s() + _UNKNOWN_S * (1 + rng()))
        async with asyncio.timeout(one.claimed.job.timeout_s) as limit:
            result = await _result(context, one.claimed.args)
            await context.flush()
    except asyncio.CancelledError:
        await _say_last_words(one, context)
        return _stopped(one)
    except Exception as error:
        await _say_last_words(one, context)
        is_late = isinstance(error, TimeoutError) and limit.expired()
        return _failed(one, error, rng(), is_late=is_late)
    finally:
        one.progress = context.latest
        context.close()
    most = one.services.amounts.result_bytes
    if len(result) > most:
        words = f"The result has {len(result)} bytes; jobs.result_bytes allows {most}."
        return Failed(Problem("result_too_large", words))
    return Succeeded(result)


async def _result(context: Context, args: bytes) -> bytes:
    kind: Any = context.services.kinds.find(context.job.kind)
    if context.job.key_id:
        _await_key(context)
        assert context.key, "raises for a key that has ended"
    try:
        read = msgspec.json.decode(args, type=kind.Args)
    except msgspec.MsgspecError:
        raise InvalidArguments(
            f"The arguments do not fit {kind.NAME} any more. Replay the job with others.",
            param="args",
        ) from None
    result = await kind.run(context, read)
    try:
        return msgspec.json.encode(result)
    except (TypeError, ValueError, RecursionError):  # and so would the next attempt's be
        words = (
            f"What the kind {kind.NAME} returns is not JSON. Mend the kind, then replay the job."
        )
        raise Quit(Problem("result_invalid", words)) from None


def _await_key(context: Context) -> None:
    """Raises Overloaded for a key that is younger than what this process knows of keys."""
    services, job = context.services, context.job
    is_known = services.gateway.keys.identify(job.key_id.encode()) is not None
    if not is_known and context.now_s() - job.created_at < _NEW_S:
        raise Overloaded("The key of this job is not known here yet.")


async def _say_last_words(one: Run, context: Context) -> None:
    """What the job said and made before it failed is in the ledger, if that can be."""
    one.settling = True  # told to stop once more, it would end here and nobody would hear of it
    if one.why != "fenced":
        with suppress(Lost, GatemillError):
            await context.flush()
        if context.save_rest is not None:
            with suppress(Lost, GatemillError):
                await context.save_rest()


# --- What an end means ----------------------------------------------------------------------------


def _stopped(one: Run) -> Outcome | None:
    if one.why == "cancel":
        return Stopped()
    if one.why == "drain":
        return Released()
    if one.why == "fenced":
        return None
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    # The kind was cancelled by something of its own.
    structlog.get_logger().error("job_cancelled_itself", job=one.claimed.job.id)
    return again(one, INTERNAL, 1.0)


def _failed(one: Run, error: Exception, unit: float, *, is_late: bool) -> Outcome | None:
    job = one.claimed.job
    while isinstance(error, ExceptionGroup):  # of a kind's own TaskGroup: the first began it
        error = error.exceptions[0]
    if isinstance(error, Lost):
        return None
    if isinstance(error, Parts):
        return Waiting(error.parts)
    if isinstance(error, Quit):
        return Failed(error.problem)
    if isinstance(error, GatemillError):
        return _refused(one, error, unit)
    if is_late:
        words = f"The attempt took longer than {job.timeout_s:g} s."
        return again(one, Problem("job_timeout", words), unit)
    structlog.get_logger().error("job_failed", job=job.id, kind=job.kind, exc_info=error)
    return again(one, INTERNAL, unit)


def _refused(one: Run, error: GatemillError, unit: float) -> Outcome:
    problem = problem_of(error)
    if isinstance(error, NOT_YET):
        least_s, most_s = _POSTPONED_S
        wait_s = min(most_s, max(least_s, error.retry_after_s or 0.0)) * (1 + unit / 4)
        return Postponed(problem, one.services.clock.unix_s() + wait_s)
    if error.retry is False:
        return Failed(problem)
    return again(one, problem, unit, error.retry_after_s or 0.0)


def again(one: Run, problem: Problem, unit: float, after_s: float = 0.0) -> Outcome:
    """Another attempt after the kind's pause, or no more; `after_s` is what a provider asked for.

    `unit` is a random number in [0, 1).
    """
    job, amounts = one.claimed.job, one.services.amounts
    if job.attempt >= job.attempts_max:
        return Failed(problem)
    delays_s = getattr(one.services.kinds.find(job.kind), "DELAYS_S", ())
    if delays_s:
        wait_s = delays_s[min(job.attempt, len(delays_s)) - 1] * (0.9 + 0.2 * unit)
    else:
        wait_s = pause_s(job.attempt, amounts.backoff_s, amounts.backoff_max_s, unit)
    wait_s = max(wait_s, min(after_s, _RETRY_AFTER_S_MAX))
    return Again(problem, one.services.clock.unix_s() + wait_s)


def problem_of(error: GatemillError) -> Problem:
    """A failure as it is kept."""
    return Problem(error.code, error.message, UNSET if error.param is None else error.param)


_UNKNOWN = Problem(
    "unknown_kind", "No worker that has looked at the job knows its kind; see jobs.kinds."
)
INTERNAL = Problem(
    "internal_error", "This is our fault, not yours. The log has the job's id and the cause."
)
