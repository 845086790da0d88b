"""Jobs as the API tells them. Rule: nothing of the house is in it: no owner, no claim, no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from gatemill.core.job import PRIORITIES, Full, Problem, Progress
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.job import Attempted, Job
    from gatemill.core.ports import Json

_problem = msgspec.json.Decoder(Problem)


def job(what: Job) -> Json:
    """What its row says."""
    return {
        "id": what.id,
        "object": "job",
        "kind": what.kind,
        "state": what.state,
        "cancelling": what.cancel and what.state == "running",
        "priority": PRIORITIES[what.priority],
        "queue": what.queue,
        "created_at": _seconds(what.created_at),
        "run_at": _seconds(what.run_at),
        "started_at": _seconds(what.started_at),
        "finished_at": _seconds(what.finished_at),
        "expires_at": _seconds(what.expires_at),
        "attempt": what.attempt,
        "attempts_max": what.attempts_max,
        "error": problem(what.error),
        "metadata": Raw(what.metadata),
        "callback_url": what.callback_url or None,
        "parent_id": what.parent_id or None,
        "parts": what.parts,
        "parts_open": what.parts_open,
    }


def whole(full: Full, attempts: Sequence[Attempted], cost_microusd: int | None) -> Json:
    """All that is known of a job but its arguments; the cost is null while a price is unknown."""
    return {
        **job(full.job),
        "progress": progress(full.progress),
        "cost_usd": None if cost_microusd is None else usd(cost_microusd),
        "result": None if full.result is None else Raw(full.result),
        "attempts": [attempt(each) for each in attempts],
    }


def letter(
    full: Full, attempts: Sequence[Attempted], cost_microusd: int | None, *, knows_args: bool
) -> Json:
    """The same, with its arguments: to see what it died of. Null for those who may not know them."""
    args = Raw(full.args) if knows_args else None
    return {**whole(full, attempts, cost_microusd), "args": args}


def progress(what: Progress | None) -> Json | None:
    """How far it is."""
    return None if what is None else msgspec.to_builtins(what)


def attempt(what: Attempted) -> Json:
    """One line of its history."""
    error = what.error
    return {
        "number": what.number,
        "started_at": _seconds(what.started_at),
        "ended_at": _seconds(what.ended_at),
        "outcome": what.outcome or "running",
        "error": None if error is None else msgspec.to_builtins(error),
    }


def problem(error: bytes | None) -> Json | None:
    """Why it ended without a result."""
    return None if error is None else msgspec.to_builtins(_problem.decode(error))


def _seconds(unix_s: float | None) -> float | None:
    return None if unix_s is None else round(unix_s, 3)
