"""Looks at the numbers of this process now and then, and has the ledger remember what is wrong.

Rule: plain numbers in, `policy` decides, the ledger opens and closes. A look that fails is counted and
changes nothing; requests never wait for one.
"""

from __future__ import annotations

import asyncio
import math
import shutil
from collections import deque
from typing import TYPE_CHECKING

import structlog

from gatemill.core import ids
from gatemill.core.errors import GatemillError
from gatemill.ledger.incidents import OPENED, Incident
from gatemill.observe.metrics import DURATION_S, OTHER, OVERHEAD_S
from gatemill.policy.incidents import Watch
from gatemill.policy.vitals import Bounds, Levels, Numbers, readings, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.clock import Clock
    from gatemill.house.root import House
    from gatemill.ledger.incidents import Seen
    from gatemill.observe.metrics import Meter
    from gatemill.policy.incidents import Finding

LOOKS_MAX = 200  # that are remembered
PATIENCE_S = 10.0  # with the database
LEDGER = "LedgerBehind"  # the rule that cannot be remembered where it is true
_BOUNDS = Bounds(DURATION_S, OVERHEAD_S)
_TRIED = ("postponed",)  # no try was made


class Watchman:
    """One for a process; it outlives a reload. Looks come one after the other."""

    def __init__(self, clock: Clock) -> None:
        self.failures = 0  # looks that could not be finished
        self.refused = 0  # messages that found no room in the outbox
        self._clock = clock
        self._watch = Watch()
        self._past: deque[tuple[float, Numbers]] = deque(maxlen=LOOKS_MAX + 2)
        self._began_s = clock.monotonic_s()
        self._new_id = ids.sequence("inc_")
        self._cried = False  # told directly that the ledger is away, once for each time

    @property
    def left_out(self) -> int:
        """Findings that were too many of one kind."""
        return self._watch.left_out

    async def look(self, home: House, *, config_refused: bool) -> None:
        """What is wrong is open in the ledger, and what is over is closed. Never raises ours."""
        said = home.settings.alerts
        if not said.watch:
            return
        numbers = await self._numbers(home, config_refused=config_refused)
        now_s = self._clock.monotonic_s()
        before = self._before(numbers, now_s, said.window_s)
        levels = Levels(
            **{name: getattr(said, name) for name in Levels.__struct_fields__}
        )  # they bear the same names
        seen = readings(numbers, before, levels, _BOUNDS)
        found = self._watch.see(seen, unknown(numbers), now_s, said.for_s)
        # Others may see what this process has had no time to see.
        is_new = now_s - self._began_s < said.quiet_s
        await self._remember(home, found, math.inf if is_new else said.quiet_s)

    # --- Inside ----------------------------------------------------------------------------------

    async def _remember(self, home: House, found: Sequence[Finding], quiet_s: float) -> None:
        tells = home.notifier is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                seen = await home.ledger.incidents.seen(found, quiet_s, tells=tells)
        except (TimeoutError, GatemillError):
            self.failures += 1
            await self._cry(home, found)
            return
        self._cried = False
        self.refused += seen.refused
        _log(seen)

    async def _cry(self, home: House, found: Sequence[Finding]) -> None:
        """The one thing that the ledger cannot keep is told without it, once."""
        away = next((one for one in found if one.name == LEDGER), None)
        if away is None or self._cried:
            return
        now_s = self._clock.unix_s()
        incident = Incident(
            id=self._new_id(now_s),
            name=away.name,
            subject=away.subject,
            severity=away.severity,
            value=away.value,
            threshold=away.threshold,
            since_s=now_s - away.for_s,
            opened_s=now_s,
            seen_s=now_s,
            closed_s=None,
        )
        structlog.get_logger().error("incident_not_kept", name=incident.name, value=incident.value)
        self._cried = home.notifier is None or await home.notifier.tell(OPENED, incident)

    def _before(self, numbers: Numbers, now_s: float, window_s: float) -> Numbers:
        past = self._past
        while len(past) > 1 and past[1][0] <= now_s - window_s:
            past.popleft()
        if not past or now_s - past[-1][0] >= window_s / LOOKS_MAX:
            past.append((now_s, numbers))
        return past[0][1]

    async def _numbers(self, home: House, *, config_refused: bool) -> Numbers:
        meter, ledger = home.gateway.meter, home.ledger
        queues, dead_letters = await self._database(home)
        tries = home.jobs.services.sender.tries
        made = sum(count for outcome, count in tries.items() if outcome not in _TRIED)
        return Numbers(
            *_requests(meter),
            lags=tuple(meter.loop_lag.counts),
            webhook_tries=made,
            webhook_failed=made - tries.get("2xx", 0),
            rows_lost=ledger.counters.rows_lost,
            rows_pending=ledger.counters.rows_pending,
            ledger_works=ledger.healthy(),
            config_refused=config_refused,
            breakers=breakers(home),
            usable=usable_targets(home),
            queues=queues,
            dead_letters=dead_letters,
            disk_used=await _disk_used(home),
        )

    async def _database(self, home: House) -> tuple[Mapping[str, float] | None, int | None]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                depths = await home.ledger.jobs.depths()
                vitals = await home.ledger.incidents.vitals()
        except (TimeoutError, GatemillError):
            self.failures += 1
            return None, None
        queues: dict[str, float] = {}
        for depth in depths:
            if depth.state == "queued":
                queues[depth.queue] = max(queues.get(depth.queue, 0.0), depth.oldest_s)
        return queues, vitals.dead_letters


def usable_targets(home: House) -> dict[str, int]:
    """Of each name of the configuration, how many of its targets take requests."""
    now_s = home.gateway.now()
    closed = {one.label: one.state == 0 for one in home.lasting.lanes.metrics(now_s)}
    found = {}
    for name, route in home.gateway.routes.exact.items():
        if targets := route.targets + route.fallbacks:
            found[name] = sum(
                closed.get(target.label, True) and target.lane.opens_s(now_s) == 0
                for target in targets
            )
    return found


def breakers(home: House) -> dict[str, int]:
    """The state of each target's breaker: 0 is closed. Those that only a pattern knows are one."""
    known = home.gateway.routes.labels
    found: dict[str, int] = {}
    for one in home.lasting.lanes.metrics(home.gateway.now()):
        label = one.label if one.label in known else OTHER
        found[label] = max(found.get(label, 0), one.state)
    return found


def _requests(meter: Meter) -> tuple[int, int, tuple[int, ...]]:
    """Requests, those of them that failed, and how many took how long."""
    requests = failed = 0
    durations = [0] * (len(DURATION_S) + 1)
    for status, series in meter.by_status():
        requests += series.requests
        failed += series.requests if status >= 500 else 0
        durations = [a + b for a, b in zip(durations, series.duration.counts, strict=True)]
    return requests, failed, tuple(durations)


async def _disk_used(home: House) -> float | None:
    try:
        disk = await asyncio.to_thread(shutil.disk_usage, home.settings.data_dir)
    except OSError:
        return None
    return disk.used / max(1, disk.used + disk.free)


def _log(seen: Seen) -> None:
    log = structlog.get_logger()
    for incident in seen.opened:
        log.warning(
            "incident_opened",
            name=incident.name,
            subject=incident.subject,
            value=incident.value,
            threshold=incident.threshold,
        )
    for incident in seen.closed:
        log.warning("incident_closed", name=incident.name, subject=incident.subject)
