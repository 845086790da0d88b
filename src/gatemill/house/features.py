"""Features of the settings -> their desk, and the way to a feature server.

Rule: the transport is one of the house's, so a reload keeps or replaces it like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatemill.core.later import Bounds, Later
from gatemill.features.desk import Desk, Terms
from gatemill.features.feast import Feast
from gatemill.house.providers import tls_of
from gatemill.upstream.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport
    from gatemill.ledger.features import Given
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.model import Settings

# Among the transports; no provider can have this name.
TRANSPORT = "feast server"
_CONNECTIONS_MAX = 32
_LOG = Bounds(rows_max=10_000, bytes_max=1, group_rows=500, group_bytes=1)  # rows without bytes


def log_of(ledger: Ledger) -> Later[Given]:
    """What requests were given, on its way to the ledger. Outlives a reload."""
    return Later("feature-log", ledger.features.log, _LOG)


def transport_of_feast(settings: Settings) -> Transport | None:
    """The way to the feature server; None where there is none."""
    said = settings.features.feast
    if said is None:
        return None
    tls = tls_of(None) if urlsplit(said.url).scheme == "https" else None
    return Pool(said.url, (), connections_max=_CONNECTIONS_MAX, tls=tls)


def desk_of(
    settings: Settings,
    ledger: Ledger,
    clock: Clock,
    log: Later[Given],
    transports: Mapping[str, Transport],
) -> Desk:
    """Who knows features under these settings."""
    said = settings.features
    terms = Terms(said.budget_ms / 1e3, said.cache_s, said.cache_entries)
    feast = None
    if said.feast is not None:
        feast = Feast(transports[TRANSPORT], said.feast.timeout_s, clock)
    return Desk(ledger, clock, log, terms, feast)
