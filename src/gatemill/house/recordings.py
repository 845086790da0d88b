"""Recordings of the settings -> who keeps them. Rule: nobody, where nothing is to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.later import Bounds, Later
from gatemill.gateway.recorder import Options, Recorder

if TYPE_CHECKING:
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.recordings import Recording
    from gatemill.settings.model import Settings

_TAPES = Bounds(rows_max=10_000, bytes_max=67_108_864, group_rows=200, group_bytes=4_194_304)


def tapes_of(ledger: Ledger) -> Later[Recording]:
    """Recordings on their way to the ledger. Outlives a reload."""
    return Later("recordings", ledger.recordings.keep, _TAPES)


def recorder_of(settings: Settings, tapes: Later[Recording]) -> Recorder | None:
    """Who keeps requests; None where `recordings.share` is 0."""
    said = settings.recordings
    if not said.share:
        return None
    options = Options(said.share, said.models, frozenset(said.operations), said.body_bytes_max)
    return Recorder(tapes, options)
