"""What is wrong here, and what repairs it. Rule: it looks and changes nothing; each finding names its remedy.

`gatemill doctor` shows all of it, /ui/doctor what a process that serves can see of itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.house.doctor import machine, ports, stores, traces
from gatemill.settings import findings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.finding import Finding
    from gatemill.settings import Loaded

__all__ = ["examined"]


async def examined(
    loaded: Loaded,
    clock: Clock,
    *,
    serves: bool,
    has: Callable[[str], bool] = machine.has,
    streams: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Everything that can be seen without asking a provider; a process that `serves` has its ports.

    `streams` are queues and topics that `gatemill consume` is given, by the option that names them.
    """
    settings = loaded.settings
    facts = await asyncio.to_thread(machine.look, settings.data_dir, loaded.path)
    found = list(machine.judged(facts, settings))
    found += [findings.summary(loaded), *findings.keys(loaded), *findings.extras(settings, has)]
    found += await stores.examined(settings, clock)
    found += await stores.streams(streams or {})
    found += await asyncio.to_thread(lambda: list(traces.examined(settings)))
    if not serves:
        found += await asyncio.to_thread(lambda: list(ports.examined(settings)))
    return [*found, *findings.together(settings)]
