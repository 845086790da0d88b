"""A job that nobody has accepted yet. Rule: the kind says what it needs, the options say the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core import trace
from gatemill.core.job import DEFAULT, NewJob

if TYPE_CHECKING:
    from gatemill.jobs.services import Services


def scope_of(kind: Any) -> str:
    """What a key needs for such jobs, when they are submitted and when they run."""
    return str(getattr(kind, "SCOPE", "jobs"))


def new_job(services: Services, kind: str, args: bytes, **more: Any) -> NewJob:
    """A job of this kind. `more` are fields of NewJob, `owner` and `key_id` among them.

    Raises InvalidValue for an unknown kind. `args` are not looked at.
    """
    found, amounts = services.kinds.find(kind), services.amounts
    fields = {
        "id": services.new_id(),
        "kind": found.NAME,
        "queue": found.QUEUE,
        "args": args,
        "priority": getattr(found, "PRIORITY", DEFAULT),
        "attempts_max": getattr(found, "ATTEMPTS_MAX", amounts.attempts_max),
        "timeout_s": getattr(found, "TIMEOUT_S", amounts.timeout_s),
        "keep_s": amounts.keep_s,
        "traceparent": trace.header(trace.current.get()),
    }
    return NewJob(**{**fields, **more})
