"""Jobs as the tables have them, and what one may ask about them. Rule: words and numbers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.job import Attempted, Full, Job, Problem, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = Job.__struct_fields__
_encode = msgspec.json.encode
_problem = msgspec.json.Decoder(Problem).decode
_progress = msgspec.json.Decoder(Progress).decode
_queues = msgspec.json.Decoder(tuple[str, ...]).decode


class Filter(Struct, frozen=True):
    """Which jobs a list is about; "" and None let all of them pass."""

    owner: str | None = None
    state: str = ""
    kind: str = ""
    queue: str = ""
    priority: int | None = None
    error: str = ""  # the code of its error
    created_after_s: float | None = None  # Unix time; that moment is in
    created_before_s: float | None = None  # Unix time; that moment is not
    parent_id: str = ""  # "": jobs that are no parts


class Accepted(Struct, frozen=True):
    """A job that is in the ledger."""

    job: Job
    created: bool  # False: it was there, with the same unique key and fingerprint


class Depth(Struct, frozen=True):
    """Jobs of one queue, priority and state."""

    queue: str
    priority: int
    state: str
    jobs: int
    oldest_s: float  # for how long the first of them has been due


class Turned(Struct, frozen=True):
    """A job that was taken back from a dead worker, as it is now."""

    job: Job
    worker_id: str  # of the dead


class WorkerRow(Struct, frozen=True, kw_only=True):
    """Somebody who runs jobs."""

    id: str
    host: str
    pid: int
    pid_started: int  # tells two processes with one pid apart
    queues: tuple[str, ...]
    slots: int
    running: int = 0
    lease_s: float  # it is dead when it was silent for longer
    started_at: float
    beat_at: float  # when it last gave a sign of life


class QueueLimit(Struct, frozen=True):
    """What all workers together may do in one queue; None is no limit."""

    running_max: int | None = None
    starts_per_minute: int | None = None
    running_max_per_owner: int | None = None


def job_of(row: dict[str, Any]) -> Job:
    """A row of `jobs`."""
    values = {name: row[name] for name in _COLUMNS}
    values["cancel"] = bool(values["cancel"])
    values["notify"] = bool(values["notify"])
    values["metadata"] = values["metadata"].encode()
    if values["error"] is not None:
        values["error"] = values["error"].encode()
    return Job(**values)


def full_of(row: dict[str, Any]) -> Full:
    """A row of `jobs` with that of `job_data`."""
    result = None if row["result"] is None else bytes(row["result"])
    return Full(job_of(row), bytes(row["args"]), progress_of(row["progress"]), result)


def progress_of(text: str | None) -> Progress | None:
    """How far a job is."""
    return None if text is None else _progress(text)


def attempt_of(row: dict[str, Any]) -> Attempted:
    """A row of `job_attempts`."""
    error = row["error"]
    return Attempted(**{**row, "error": None if error is None else _problem(error)})


def worker_of(row: dict[str, Any]) -> WorkerRow:
    """A row of `workers`."""
    return WorkerRow(**{**row, "queues": _queues(row["queues"])})


def stored(value: Struct | Sequence[str] | None) -> str | None:
    """JSON for a column."""
    return None if value is None else _encode(value).decode()
