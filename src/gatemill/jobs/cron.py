"""Jobs submitted by the clock.

Rule: every process ticks, and the ledger lets one of them win: the job of a slot has a unique key. Of
slots that passed while nobody ticked, the latest is made up for, and no other.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import structlog
from cronsim import CronSim, CronSimError
from msgspec import Struct

from gatemill.core.errors import GatemillError, InvalidValue
from gatemill.core.job import PRIORITIES, Ring, owner_of
from gatemill.gateway.identify import identify
from gatemill.jobs.making import new_job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.job import Job
    from gatemill.jobs.services import Services

CATCH_UP_S = 3600.0  # a slot that passed longer ago than this before the start is left out
_FIELDS = 5
_MINUTE_S = 60


class Plan(Struct, frozen=True):
    """One schedule of the configuration."""

    name: str
    expression: str
    zone: ZoneInfo
    kind: str
    key_id: str
    args: bytes
    priority: int


def plan(name: str, said: Mapping[str, Any]) -> Plan:
    """A schedule that holds; `said` has its options. Raises InvalidValue."""
    place = f"jobs.schedules.{name}"
    try:
        zone = ZoneInfo(said["timezone"])
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidValue(
            f"{place}: there is no time zone {said['timezone']}. Use a name such as Europe/Berlin.",
            param=f"{place}.timezone",
        ) from None
    expression = said["cron"]
    if not _is_cron(expression):
        raise InvalidValue(
            f'{place}: "{expression}" is not five fields of cron, such as "30 2 * * 1-5".',
            param=f"{place}.cron",
        )
    return Plan(
        name,
        expression,
        zone,
        said["kind"],
        said["key"],
        msgspec.json.encode(said["args"]),
        PRIORITIES.index(said["priority"]),
    )


def latest_slot_s(what: Plan, now_s: float) -> float | None:
    """The last moment up to now at which it was due, in Unix time; None when there was none."""
    # A slot is a whole minute, and the search backwards leaves out the moment where it begins.
    coming = datetime.fromtimestamp((now_s // _MINUTE_S + 1) * _MINUTE_S, what.zone)
    found = next(CronSim(what.expression, coming, reverse=True), None)
    if found is None:
        return None
    # In an hour that a clock goes through twice, the search backwards misses the slots of the first
    # time (cronsim 2.8, 2026-11); the search forwards does not.
    for later in CronSim(what.expression, found):
        if later.timestamp() > now_s:
            break
        found = later
    return found.timestamp()


class Cron:
    """One for a process; it outlives a reload."""

    def __init__(self, started_s: float) -> None:
        """`started_s` is Unix time."""
        # What is configured at the start makes up for what was missed; what comes later begins then.
        self._since_s = started_s - CATCH_UP_S
        self._done: dict[str, tuple[Plan, float]] = {}  # the slot until which nothing is to do
        self._failing: set[str] = set()  # names that have been logged

    async def tick(self, services: Services) -> int:
        """Every slot that has passed has its job; the number of those made here.

        What is refused is tried again with the next tick, and logged once.
        """
        now_s = services.clock.unix_s()
        made = 0
        for one in services.schedules:
            old, done_s = self._done.get(one.name, (one, self._since_s))
            if old != one:
                done_s = now_s
            # A clock that had been too far ahead: what it made then is in the ledger, by its slot.
            done_s = min(done_s, now_s)
            slot_s = latest_slot_s(one, now_s)
            if slot_s is not None and slot_s > done_s:
                count = await self._make(services, one, slot_s)
                if count is not None:
                    made += count
                    done_s = slot_s
            self._done[one.name] = (one, done_s)
        self._since_s = now_s
        return made

    async def _make(self, services: Services, what: Plan, slot_s: float) -> int | None:
        amounts = services.amounts
        try:
            key = identify(services.gateway.keys, what.key_id.encode(), services.clock.unix_s())
            job = new_job(
                services,
                what.kind,
                what.args,
                owner=owner_of(key),
                key_id=key.id,
                priority=what.priority,
                unique_key=f"cron:{what.name}:{int(slot_s)}",
            )
            found = await services.ledger.jobs.submit(
                [job], amounts.waiting_max_per_owner, amounts.waiting_max
            )
        except GatemillError as error:
            if what.name not in self._failing:
                self._failing.add(what.name)
                why = f"key {what.key_id}: {error.message}"
                structlog.get_logger().error("schedule_failing", schedule=what.name, reason=why)
            return None
        self._failing.discard(what.name)
        created: list[Job] = [one.job for one in found if one.created]
        await services.ring([Ring(one.id, one.queue, one.priority) for one in created])
        return len(created)


def _is_cron(text: str) -> bool:
    if len(text.split()) != _FIELDS:
        return False
    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")))
    except CronSimError:
        return False
    return True
