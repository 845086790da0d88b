"""What alerts look at and what they say -> metrics.

Rule: labels are names of rules and models of the configuration. What stands in the database is asked
for when somebody scrapes, at most every `SAMPLE_S`, and is the same in every process: take the max.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError
from gatemill.house.watchman import usable_targets
from gatemill.observe.metrics import Labelled
from gatemill.policy.incidents import RULES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gatemill.house.root import House
    from gatemill.ledger.incidents import Incidents, Vitals
    from gatemill.observe.metrics import Meter

SAMPLE_S = 3.0
SAMPLE_S_MAX = 2.0  # a scrape waits no longer; it then gets the sample before


class Sample:
    """What the database said last."""

    def __init__(self, incidents: Incidents, now: Callable[[], float], patience_s: float) -> None:
        self.failures = 0
        self.seen: Vitals | None = None
        self._incidents = incidents
        self._now = now
        self._patience_s = patience_s
        self._due_s = float("-inf")

    async def take(self) -> None:
        """It is not much older than `SAMPLE_S`, or the database is slow or away."""
        if self._now() < self._due_s:
            return
        self._due_s = self._now() + SAMPLE_S
        try:
            async with asyncio.timeout(self._patience_s):
                self.seen = await self._incidents.vitals()
        except (TimeoutError, GatemillError):
            self.failures += 1

    def open(self) -> dict[tuple[str, ...], float]:
        """Incidents by name, those that there are none of too."""
        known = self.seen.open if self.seen is not None else {}
        return {(name,): known.get(name, 0) for name in RULES}

    def budgets(self) -> dict[tuple[str, ...], float]:
        """Budgets by scope and level."""
        known = self.seen.budgets if self.seen is not None else {}
        return {(scope, level): count for (scope, level), count in known.items()}


def export_alerts(meter: Meter, home: House) -> None:
    """The state of rules, dead letters, workers, budgets, models and the disk become metrics."""
    sample = Sample(home.ledger.incidents, home.gateway.clock.monotonic_s, SAMPLE_S_MAX)
    meter.samplers["alerts"] = sample.take
    watchman = home.lasting.watchman
    meter.labelled_gauges["gatemill_alerts_open"] = Labelled(
        "Incidents that are open, of all processes.", ("name",), sample.open
    )
    meter.labelled_gauges["gatemill_budgets_reached"] = Labelled(
        "Budgets that have reached a share of their limit in the present window, of all processes.",
        ("scope", "level"),
        sample.budgets,
    )
    meter.labelled_gauges["gatemill_model_targets_usable"] = Labelled(
        "Targets of a configured model that take requests, its fallbacks among them.",
        ("model",),
        lambda: {(model,): count for model, count in usable_targets(home).items()},
    )
    meter.gauges["gatemill_dead_letters"] = (
        "Jobs that have died and wait for somebody, of all processes.",
        lambda: sample.seen.dead_letters if sample.seen is not None else 0,
    )
    meter.gauges["gatemill_jobs_workers"] = (
        "Workers that have given a sign of life within their lease, of all processes.",
        lambda: sample.seen.workers if sample.seen is not None else 0,
    )
    for name, (text, read) in _DISK.items():
        meter.gauges[name] = (text, _reader(home.settings.data_dir, read))
    for name, (text, count) in {
        "alerts_look_failures": (
            "Looks for incidents that could not be finished.",
            lambda: watchman.failures,
        ),
        "alerts_refused": (
            "Messages about incidents that were not kept, because as many waited as may.",
            lambda: watchman.refused,
        ),
        "alerts_left_out": (
            "Findings left out, because one rule had as many as may be.",
            lambda: watchman.left_out,
        ),
        "alerts_sample_failures": (
            "Samples of these numbers that the database did not answer in time.",
            lambda: sample.failures,
        ),
    }.items():
        meter.counters[f"gatemill_{name}"] = (text, count)


def _reader(data_dir: Path, read: Callable[[tuple[int, int, int]], float]) -> Callable[[], float]:
    def value() -> float:
        try:
            return read(shutil.disk_usage(data_dir))
        except OSError:
            return 0.0

    return value


_DISK: dict[str, tuple[str, Callable[[tuple[int, int, int]], float]]] = {
    "gatemill_disk_free_bytes": (
        "Room on the disk with the data folder; 0 where it cannot be told.",
        lambda disk: disk[2],
    ),
    "gatemill_disk_bytes": (
        "Size of that disk, without what the system keeps for itself.",
        lambda disk: disk[1] + disk[2],
    ),
}
