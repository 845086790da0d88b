"""/ui/jobs/{id}: one job. Rule: whose job it is decides who sees it; what is long is cut, and says so."""

from __future__ import annotations

import msgspec

from gatemill.core.job import FINAL
from gatemill.edge.deferred import desk_of
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.edge.pages.jobs import row
from gatemill.edge.pages.webhooks import ENDPOINTS_MAX, told
from gatemill.jobs import shown
from gatemill.ledger.jobs.rows import Filter
from gatemill.ledger.webhooks import Wanted

SHOWN_CHARS = 16_384  # of arguments and of a result
_PRETTY_BYTES_MAX = 65_536  # of JSON that is put into lines
PARTS_MAX = 100
DELIVERIES_MAX = 20


async def _data(visit: Visit, job_id: str) -> Data:
    desk, ledger = desk_of(visit.shown.door), visit.ledger
    full = await desk.full(visit.key, job_id)
    job = full.job
    await ledger.flushed()
    attempts = await ledger.jobs.attempts(job_id)
    parts = []
    if job.parts:
        parts = await desk.listed(visit.key, Filter(parent_id=job_id), PARTS_MAX)
    deliveries = await ledger.webhooks.deliveries(Wanted(job=job_id), DELIVERIES_MAX)
    endpoints = await ledger.webhooks.listed("", ENDPOINTS_MAX) if deliveries else []
    is_own = job.key_id == visit.key.id
    return {
        "title": f"Job {job_id}",
        **row(job),
        "is_final": job.state in FINAL,
        "worker_id": job.worker_id or None,
        "key_id": job.key_id,
        "progress": shown.progress(full.progress),
        "cost_microusd": await ledger.jobs.cost(job_id),
        "attempts": [shown.attempt(each) for each in attempts],
        # A prompt is more than the control plane tells those who may only look.
        "args": _excerpt(full.args) if visit.key.may("admin") or is_own else None,
        "result": _excerpt(full.result),
        "children": [row(each) for each in parts],
        "deliveries": told(deliveries, endpoints),
    }


def _excerpt(value: bytes | None) -> Data | None:
    """JSON for people: in lines where it is short, its beginning where it is long."""
    if value is None:
        return None
    if len(value) <= _PRETTY_BYTES_MAX:
        value = msgspec.json.format(value, indent=2)
    text = value.decode("utf-8", "replace")
    return {"text": text[:SHOWN_CHARS], "bytes": len(value), "is_cut": len(text) > SHOWN_CHARS}


PAGE = Page("/ui/jobs/{job_id}", "Job", "job.html", _data, hidden=True)
