"""Guards of the settings -> the gateway's stage. Rule: RE2 is loaded only where somebody asks for a guard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.guard import Use, Uses
from gatemill.gateway.guards import Counts, Guards, Making
from gatemill.gateway.local_guards import known_of
from gatemill.observe.metrics import Labelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.guard import Pattern, Remote
    from gatemill.gateway.guards import Scanner
    from gatemill.gateway.routes import Routes
    from gatemill.observe.metrics import Meter
    from gatemill.settings.guards import Guards as Said
    from gatemill.settings.guards import GuardUse, GuardUses

_READERS_MAX = 2  # threads that read large texts; RE2 lets go of Python's lock


class Readers(Struct, frozen=True):
    """Who reads large texts, and what has been counted. Outlives a reload."""

    threads: ThreadPoolExecutor
    counts: Counts

    def close(self) -> None:
        """The threads end; what waits is dropped."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def readers_of() -> Readers:
    """No thread begins before it is needed."""
    return Readers(ThreadPoolExecutor(_READERS_MAX, thread_name_prefix="guards"), Counts())


def uses_of(said: GuardUses | Said) -> Uses:
    """The guards of one section."""
    return Uses(tuple(map(_use, said.input)), tuple(map(_use, said.output)))


def guards_of(
    said: Said, remote: Callable[[Use], tuple[Remote, float]], readers: Readers
) -> Guards:
    """The stage. Raises InvalidValue for an expression that is none."""
    known = known_of(said.patterns, said.pattern_bytes_max, said.hooks)
    return Guards(
        uses_of(said),
        Making(known, _scan, remote),
        readers.threads,
        readers.counts,
        (said.on_failure, said.held_bytes_max),
    )


def _use(said: GuardUse) -> Use:
    return Use(said.guard, said.mode, said.kinds, said.threshold, said.chars_max, said.hook)


def _scan(looks: Sequence[tuple[str, Pattern]]) -> Scanner:
    module: Any = import_module("gatemill.guards.scan")
    made: Scanner = module.Scan(looks)
    return made


def ready(guards: Guards, routes: Routes) -> None:
    """What the configuration asks for is compiled before the first request.

    Raises InvalidValue and ExtraNotInstalled.
    """
    for route in (*routes.exact.values(), *routes.patterns):
        guards.prepare(route)


def export_guards(meter: Meter, guards: Guards, readers: Readers) -> None:
    """What guards have found and where they failed becomes metrics."""
    counts = readers.counts
    meter.labelled_counters["gatemill_guard_findings"] = Labelled(
        "Places that guards have found, by what was done about them.",
        ("side", "guard", "kind", "mode"),
        lambda: counts.findings,
    )
    meter.labelled_counters["gatemill_guard_failures"] = Labelled(
        "Times that a guard could not answer.",
        ("guard",),
        lambda: counts.failures,
    )
    meter.counters["gatemill_guard_texts_off_loop"] = (
        "Large texts that a thread has read.",
        lambda: counts.off_loop,
    )
    meter.counters["gatemill_guard_texts_refused"] = (
        "Large texts that found no room among those that wait for a thread.",
        lambda: counts.refused,
    )
    meter.gauges["gatemill_guard_texts_reading"] = (
        "Large texts that threads read, or that wait for one.",
        lambda: counts.reading,
    )
    meter.gauges["gatemill_guard_policies"] = (
        "Different sets of guards that keys, teams and models ask for.",
        lambda: guards.policies,
    )
    meter.gauges["gatemill_guard_strings_known"] = (
        "Strings that look like something, hold nothing, and are not read again.",
        lambda: guards.strings_known,
    )
    meter.counters["gatemill_guard_policies_rebuilt"] = (
        "Times that there were too many different sets, and all were put together anew.",
        lambda: counts.rebuilt,
    )
