"""How much waits where, and a way to hold it. Rule: the ledger knows; a pause is for every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import NotFound
from gatemill.core.job import PRIORITIES

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.jobs.services import Services

_STATES = ("queued", "running", "scheduled")


async def listed(services: Services) -> list[Json]:
    """Every queue that a kind uses or a job waits in, in the order of their names."""
    kinds, jobs = services.kinds, services.ledger.jobs
    paused = await jobs.queues()
    found = {kinds.find(name).QUEUE: _queue() for name in kinds.names}
    for name in paused:
        found.setdefault(name, _queue())
    for depth in await jobs.depths():
        if depth.state not in _STATES:
            continue
        queue = found.setdefault(depth.queue, _queue())
        queue[depth.state] += depth.jobs
        if depth.state == "queued":
            waits = {"jobs": depth.jobs, "oldest_s": round(depth.oldest_s, 3)}
            queue["waiting"][PRIORITIES[depth.priority]] = waits
    return [
        {"object": "queue", "name": name, "paused": paused.get(name, False), **found[name]}
        for name in sorted(found)
    ]


async def pause(services: Services, name: str, *, paused: bool) -> Json:
    """No job of the queue begins, or they do again; the queue as it is now. Raises NotFound."""
    if name not in {queue["name"] for queue in await listed(services)}:
        raise NotFound("There is no queue of this name. GET /v1/queues lists them.", param="name")
    await services.ledger.jobs.pause(name, paused=paused)
    (queue,) = [queue for queue in await listed(services) if queue["name"] == name]
    return queue


def _queue() -> Json:
    return {"queued": 0, "running": 0, "scheduled": 0, "waiting": {}}
