"""The numbers of features and recordings -> metrics. Rule: read when scraped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gatemill.observe.metrics import Labelled

if TYPE_CHECKING:
    from gatemill.house.root import House
    from gatemill.observe.metrics import Meter


def export_features(meter: Meter, home: House) -> None:
    """The counts of the feature desk, its log, and of what is recorded, become metrics."""
    desk, recorder = home.rooms.features, home.gateway.recorder
    meter.counters["gatemill_features_resolved"] = (
        "Requests that were given features.",
        lambda: desk.resolved,
    )
    meter.labelled_counters["gatemill_features_defaults"] = Labelled(
        "Entities that were given defaults: late, the database failed, or too many reads under way.",
        ("reason",),
        lambda: {(reason,): count for reason, count in desk.defaults.items()},
    )
    for name, text in _CACHE.items():
        meter.counters[f"gatemill_features_cache_{name}"] = (
            text,
            partial(getattr, desk.cache, name),
        )
    meter.gauges["gatemill_features_cache_entries"] = (
        "Entities whose values are in memory.",
        lambda: len(desk.cache),
    )
    for name, text in _FEAST.items():
        meter.counters[f"gatemill_features_feast_{name}"] = (
            text,
            partial(getattr, desk.feast, name, 0),
        )
    for room, later in (("features_log", home.lasting.given), ("recordings", home.lasting.tapes)):
        meter.gauges[f"gatemill_{room}_waiting"] = (
            f"{_ROWS[room]} that are not yet in the database.",
            partial(getattr, later, "waiting"),
        )
        for name, text in _LATER.items():
            meter.counters[f"gatemill_{room}_{name}"] = (
                f"{_ROWS[room]} {text}",
                partial(getattr, later, name),
            )
    meter.counters["gatemill_recordings_too_large"] = (
        "Requests not recorded because of their size, or because too many streams were under way.",
        lambda: 0 if recorder is None else recorder.too_large,
    )


_CACHE = {
    "hits": "Entities whose values were in memory.",
    "misses": "Entities whose values had to be read.",
    "evicted": "Entities that made room for others.",
}
_FEAST = {
    "questions": "Questions to the Feast feature server.",
    "failures": "Questions that it did not answer.",
}
_ROWS = {"features_log": "Entries of the feature log", "recordings": "Recordings"}
_LATER = {
    "written": "that were written.",
    "dropped": "dropped, because as many waited as may.",
    "failures": "whose write failed; it is tried again.",
}
