"""Work that outlives a request, in the words that every room uses.

Rule: data only. A `Job` is the row as it was read; who may change it is decided in the ledger, by the
claim that a worker holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

if TYPE_CHECKING:
    from gatemill.core.call import Key

PRIORITIES = ("high", "default", "low")  # the place of a word is its number in the database
HIGH, DEFAULT, LOW = range(3)
STATES = ("scheduled", "queued", "running", "succeeded", "dead", "cancelled", "expired")
FINAL = frozenset(("succeeded", "dead", "cancelled", "expired"))
STREAM = "stream"  # the kind that only the process which reads a stream can run: no quarantine
QUARANTINE = (
    "quarantine"  # the queue of jobs whose workers died; they run in a process of their own
)


def owner_of(key: Key) -> str:
    """Whose a job, a file or a webhook is: of the key's team, or its user, or the key alone.

    Those who share an owner see each other's work, as the keys of one OpenAI project do.
    """
    if key.team_id:
        return f"team:{key.team_id}"
    return f"user:{key.user_id}" if key.user_id else f"key:{key.id}"


class NewJob(Struct, frozen=True, kw_only=True):
    """A job that nobody has accepted yet."""

    id: str
    kind: str
    queue: (
        str  # the lane of its kind: "inference", "batch", "webhooks", "cpu" or a name of one's own
    )
    args: bytes  # JSON
    owner: str
    key_id: str  # on whose account it runs; "" is the house's own
    priority: int = DEFAULT
    run_at: float | None = None  # Unix time; None is now
    expires_at: float | None = None  # Unix time; a job that has not begun by then expires
    attempts_max: int = 4
    timeout_s: float = 600.0  # of one attempt
    keep_s: float = 604_800.0  # how long it can be read after its end
    unique_key: str = ""  # a second job with it and the same owner is the first one
    fingerprint: str = ""  # of what was asked, to tell a repeat from a clash of unique keys
    callback_url: str = ""
    metadata: bytes = b"{}"  # JSON of the caller's
    parent_id: str = ""  # the job that waits for this one
    part: int = 0  # its place among the parts of the parent
    notify: bool = True  # webhooks tell of its end
    traceparent: str = ""  # of whoever submits it; "" where nobody traces


class Job(Struct, frozen=True, kw_only=True):
    """A job as it was read."""

    id: str
    owner: str
    key_id: str
    kind: str
    queue: str
    priority: int
    state: str
    run_at: float
    expires_at: float | None
    attempt: int  # of those that count; 0 before the first
    attempts_max: int
    lost: int  # workers that died with it
    timeout_s: float
    keep_s: float
    cancel: bool  # it is to stop
    unique_key: str
    callback_url: str
    metadata: bytes
    parent_id: str
    part: int
    parts: int  # jobs that it waits or waited for
    parts_open: int  # of these, not ended
    notify: bool
    worker_id: str  # "" while nobody runs it
    created_at: float
    started_at: float | None  # of the last attempt
    finished_at: float | None
    keep_until: float | None
    error: bytes | None  # JSON of a Problem
    traceparent: str = ""  # of whoever submitted it; "" where nobody traced


class Full(Struct, frozen=True):
    """A job with all that is kept beside its row."""

    job: Job
    args: bytes
    progress: Progress | None
    result: bytes | None  # JSON


class Claimed(Struct, frozen=True):
    """A job that this process may run. `claim` is the fencing token: another claim ends this one."""

    job: Job
    args: bytes
    claim: str


class Progress(Struct, frozen=True):
    """How far a job is. `current` never falls while one attempt runs."""

    current: int
    total: int | None = None
    note: str = ""


class Problem(Struct, frozen=True, omit_defaults=True):
    """Why an attempt did not succeed, for whoever asks later. No exception text of ours is in it."""

    code: str
    message: str
    param: str | UnsetType = UNSET


class Attempted(Struct, frozen=True):
    """One attempt in a job's history."""

    number: int  # from 1, counting every start
    worker_id: str
    started_at: float
    ended_at: float | None  # None while it runs
    outcome: (
        str  # succeeded failed retried postponed released cancelled timeout lost waiting; "" runs
    )
    error: Problem | None


# --- How an attempt ends --------------------------------------------------------------------------


class Succeeded(Struct, frozen=True):
    """It is done."""

    result: bytes  # JSON


class Failed(Struct, frozen=True):
    """It is a dead letter."""

    error: Problem


class Again(Struct, frozen=True):
    """It failed and is tried again."""

    error: Problem
    run_at: float


class Postponed(Struct, frozen=True):
    """It could not begin, through no fault of its own; the attempt is not counted."""

    error: Problem
    run_at: float


class Released(Struct, frozen=True):
    """The worker leaves; the attempt is not counted."""


class Stopped(Struct, frozen=True):
    """It was cancelled while it ran."""


class Waiting(Struct, frozen=True):
    """It goes on, from its beginning and with its steps, when these parts have ended."""

    parts: tuple[NewJob, ...]


Outcome = Succeeded | Failed | Again | Postponed | Released | Stopped | Waiting


# --- How a worker asks ------------------------------------------------------------------------------


class Want(Struct, frozen=True):
    """Room for jobs of one queue."""

    queue: str
    free: int  # jobs that can begin now
    priorities: tuple[int, ...] = (HIGH, DEFAULT, LOW)


class Ring(Struct, frozen=True):
    """A job waits: what a message to a worker says."""

    id: str
    queue: str
    priority: int
