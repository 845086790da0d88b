"""/ui/jobs: what waits, who works, what runs, and a list of all. Rule: one page of a list, however many there are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.job import STATES
from gatemill.edge.deferred import desk_of
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.jobs import queues, shown
from gatemill.jobs.registry import is_hidden
from gatemill.ledger.jobs.rows import Filter

if TYPE_CHECKING:
    from gatemill.core.job import Job
    from gatemill.core.ports import Json
    from gatemill.jobs.services import Services
    from gatemill.ledger.jobs.rows import WorkerRow

LIST = 50  # jobs of a page
RUNNING_MAX = 20  # that are shown with their progress
WORKERS_MAX = 100


async def _data(visit: Visit) -> Data:
    desk, asked = desk_of(visit.shown.door), visit.asked
    services = desk.services
    wanted = Filter(
        state=asked.word("state", "", *STATES), kind=asked.text("kind"), queue=asked.text("queue")
    )
    found = await desk.listed(visit.key, wanted, LIST + 1, asked.text("after"))
    running = await desk.listed(visit.key, Filter(state="running"), RUNNING_MAX + 1)
    workers = await services.ledger.jobs.workers()
    return {
        "queues": [_queue(each) for each in await queues.listed(services)],
        "workers": [_worker(each, visit.now_s) for each in workers[:WORKERS_MAX]],
        "workers_left_out": max(0, len(workers) - WORKERS_MAX),
        "running": await asyncio.gather(*(_progress(services, j) for j in running[:RUNNING_MAX])),
        "running_left_out": len(running) > RUNNING_MAX,
        "jobs": [row(each) for each in found[:LIST]],
        "next": found[LIST - 1].id if len(found) > LIST else "",
        "filter": {"state": wanted.state, "kind": wanted.kind, "queue": wanted.queue},
        "states": list(STATES),
        "kinds": list(services.kinds.names),
        "submits": submits(visit, services),
    }


def submits(visit: Visit, services: Services) -> list[str]:
    """The kinds of jobs that whoever looks may hand in here; none without a key to pay for them."""
    if not visit.key.may("jobs") or visit.ledger.keys.by_id(visit.key.id) is None:
        return []
    kinds = services.kinds
    return [name for name in kinds.names if not is_hidden(kinds.find(name))]


def row(job: Job) -> Json:
    """A job in a list: as the API tells it, and whose it is."""
    told: Json = msgspec.json.decode(msgspec.json.encode(shown.job(job)))
    return {**told, "owner": job.owner}


async def _progress(services: Services, job: Job) -> Json:
    now, progress = await services.ledger.jobs.look(job.id, None)
    return {**row(now), "progress": shown.progress(progress)}


def _queue(told: Json) -> Json:
    return {
        **told,
        "oldest_s": max((w["oldest_s"] for w in told["waiting"].values()), default=None),
    }


def _worker(worker: WorkerRow, now_s: float) -> Json:
    told: Json = msgspec.to_builtins(worker)
    return {**told, "is_silent": worker.beat_at + worker.lease_s < now_s}


PAGE = Page("/ui/jobs", "Jobs", "jobs.html", _data, ("state", "kind", "queue", "after"))
