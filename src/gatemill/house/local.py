"""[local] and [serving] of the settings -> the shelf. Rule: what is loaded stays, unless it is said differently."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gatemill.core.model import ModelSpec
from gatemill.local.shelf import Serving, Shelf
from gatemill.observe.metrics import Labelled, Spreads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport
    from gatemill.observe.metrics import Meter
    from gatemill.settings.local import LocalModel
    from gatemill.settings.model import Settings

_SAID_APART = ("task", "engine", "source", "sha256", "preload")
_STATES = ("unloaded", "loading", "ready", "failed", "unloading")


def shelf_of(settings: Settings, clock: Clock) -> Shelf:
    """An empty shelf; a change of [serving] needs a restart."""
    said = settings.serving
    return Shelf(
        clock,
        Serving(
            data_dir=settings.data_dir,
            memory_bytes=said.memory_bytes,
            workers=said.workers or os.cpu_count() or 1,
            source_bytes=said.source_bytes,
            hub_endpoint=said.hub_endpoint,
        ),
    )


def fill(shelf: Shelf, settings: Settings, transports: Mapping[str, Transport]) -> None:
    """The shelf has the models of the settings; those to be preloaded are on their way."""
    shelf.reach(transports)
    shelf.configure({name: spec_of(name, model) for name, model in settings.local.items()})
    shelf.preload(name for name, model in settings.local.items() if model.preload)


def spec_of(name: str, model: LocalModel) -> ModelSpec:
    """What is to be loaded; options that were not set are not there."""
    options: dict[str, Any] = {
        option: getattr(model, option)
        for option in sorted(model.model_fields_set)
        if option not in _SAID_APART and getattr(model, option) is not None
    }
    return ModelSpec(name, model.task, model.engine, model.source, model.sha256, options)


def export_local(meter: Meter, shelf: Shelf) -> None:
    """The numbers of the models that run here become metrics."""
    counts = shelf.counts
    meter.gauges["gatemill_local_memory_bytes"] = (
        "Memory of all models that run here, as far as it is known.",
        lambda: shelf.memory_bytes,
    )
    meter.counters["gatemill_local_load_failures"] = (
        "Models that could not be loaded, or failed their first request.",
        lambda: counts.failures,
    )
    meter.counters["gatemill_local_evictions"] = (
        "Idle models unloaded to make room for others.",
        lambda: counts.evictions,
    )
    meter.counters["gatemill_local_idle_unloads"] = (
        "Models unloaded because nobody asked for them.",
        lambda: counts.idle_unloads,
    )
    meter.labelled_counters["gatemill_local_loads"] = Labelled(
        "Models loaded.",
        ("engine",),
        lambda: {(engine,): count for engine, count in counts.loads.items()},
    )
    meter.labelled_gauges["gatemill_local_models"] = Labelled(
        "Models by state.", ("state",), lambda: _by_state(shelf)
    )
    meter.labelled_gauges["gatemill_local_waiting"] = Labelled(
        "Inputs that wait for a thread, or requests that wait in a child process.",
        ("model",),
        lambda: {(one.name,): one.waiting for one in shelf.states()},
    )
    meter.labelled_gauges["gatemill_local_restarts"] = Labelled(
        "How often a model's child process had to be started again.",
        ("model",),
        lambda: {(one.name,): one.restarts for one in shelf.states() if one.pid is not None},
    )
    meter.labelled_histograms["gatemill_local_load_seconds"] = Spreads(
        "How long loading took.",
        ("engine",),
        lambda: [((engine,), spread) for engine, spread in counts.load_s.items()],
    )
    meter.labelled_histograms["gatemill_local_batch_size"] = Spreads(
        "Inputs computed together.",
        ("model",),
        lambda: [((name,), spread) for name, spread in counts.batch_sizes.items()],
    )


def _by_state(shelf: Shelf) -> dict[tuple[str, ...], float]:
    found = dict.fromkeys(_STATES, 0.0)
    for one in shelf.states():
        found[one.state] += 1
    return {(state,): count for state, count in found.items()}
