"""The chores of jobs: at their pace, whatever one of them meets, and rings where workers need them."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

from crews import until
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.job import Ring
from gatemill.jobs.counters import Counters
from gatemill.jobs.housekeeping import LOST_AFTER_S, Housekeeping

RING = Ring("job_1", "q", 1)


class Bell:
    POLL_S = math.inf

    def __init__(self, waiting: int | None) -> None:
        self.rung: list[Ring] = []
        self._waiting = waiting

    async def ring(self, rings: Any) -> None:
        self.rung += rings

    async def waiting(self) -> int | None:
        return self._waiting


class Jobs:
    """A ledger in which every chore is noted."""

    def __init__(self, queued: int = 0) -> None:
        self.said: list[Any] = []
        self.fails = False
        self._queued = queued

    def __getattr__(self, name: str) -> Any:
        async def work(*args: Any, **_named: Any) -> Any:
            self.said.append(name)
            if self.fails:
                raise LedgerUnavailable("away")
            return [] if name.startswith("reap") else 0

        return work

    async def rerung(self, older_s: float, _limit: int) -> list[Ring]:
        self.said.append(("rerung", older_s))
        return [RING]

    async def depths(self) -> list[Any]:
        return [
            SimpleNamespace(jobs=self._queued, state="queued"),
            SimpleNamespace(jobs=9, state="running"),
        ]


def keeping(
    jobs: Jobs, bell: Any = None, *, is_told: bool = False
) -> tuple[Housekeeping, Counters]:
    kept = SimpleNamespace(retain=jobs.__getattr__("retain"))
    services: Any = SimpleNamespace(
        ledger=SimpleNamespace(jobs=jobs, files=kept, batches=kept, knowledge=kept),
        gateway=SimpleNamespace(now=asyncio.get_running_loop().time),
        clock=SimpleNamespace(unix_s=lambda: 5000.0),
        bell=bell,
        is_told=is_told,
        rooms=SimpleNamespace(experiments=SimpleNamespace(guard=jobs.__getattr__("guard"))),
    )

    class Clockless:
        async def tick(self, _services: Any) -> int:
            jobs.said.append("tick")
            return 0

    counters = Counters()
    cron: Any = Clockless()
    return Housekeeping(lambda: services, counters, cron, None, lambda: 0.0), counters


async def test_every_chore_is_done_the_dead_of_this_host_first():
    jobs = Jobs()
    house, _ = keeping(jobs)
    task = asyncio.ensure_future(house.run())
    await until(lambda: jobs.said.count("promote") >= 2, "chores are done again")
    task.cancel()
    assert jobs.said[0] == "reap_dead_pids"
    assert {"reap", "promote", "expire", "tick", "retain", "guard"} <= set(jobs.said)


async def test_a_chore_that_fails_is_counted_and_done_again():
    jobs = Jobs()
    jobs.fails = True
    house, counters = keeping(jobs)
    task = asyncio.ensure_future(house.run())
    await until(lambda: jobs.said.count("promote") >= 2, "it is done again")
    assert counters.housekeeping_failures >= 2
    assert not task.done()
    task.cancel()


async def test_workers_that_look_by_themselves_are_not_told():
    jobs, bell = Jobs(queued=5), Bell(waiting=0)
    house, _ = keeping(jobs, bell)
    await house.ring()
    await house.ring_lost()
    assert bell.rung == []


async def test_workers_that_only_listen_are_told_of_what_nobody_told_them():
    jobs, bell = Jobs(), Bell(waiting=0)
    house, _ = keeping(jobs, bell, is_told=True)
    await house.ring()
    assert bell.rung == [RING]
    assert jobs.said == [("rerung", 4999.0)]


async def test_lost_messages_are_sent_again_only_where_fewer_wait_than_jobs():
    for waiting, rung in ((4, [RING]), (5, []), (None, [])):
        jobs, bell = Jobs(queued=5), Bell(waiting)
        house, _ = keeping(jobs, bell, is_told=True)
        await house.ring_lost()
        assert bell.rung == rung
        assert jobs.said == ([("rerung", LOST_AFTER_S)] if rung else [])
