"""The alert webhook of the settings -> somebody who sends what the ledger's outbox holds.

Rule: the transport is one of the house's, so a reload keeps or replaces it like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatemill.house.providers import tls_of
from gatemill.upstream.notify import BATCH_MAX, Notifier
from gatemill.upstream.pool import Pool
from gatemill.wire import webhook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.model import Settings

# Among the transports; no provider can have this name.
TRANSPORT = "alerts webhook"


def transport_of_alerts(settings: Settings) -> Transport | None:
    """The way to the webhook's host; None where there is no webhook."""
    if settings.alerts.webhook is None:
        return None
    url = urlsplit(settings.alerts.webhook)
    tls = tls_of(None) if url.scheme == "https" else None
    return Pool(f"{url.scheme}://{url.netloc}", (), connections_max=BATCH_MAX, tls=tls)


def notifier_of(
    settings: Settings, ledger: Ledger, transports: Mapping[str, Transport], clock: Clock
) -> Notifier | None:
    """Who sends alerts. Raises InvalidValue for a secret that is none."""
    alerts = settings.alerts
    if alerts.webhook is None or alerts.secret is None:
        return None
    key = webhook.key_of(alerts.secret.get_secret_value())
    path = urlsplit(alerts.webhook).path or "/"
    way = (transports[TRANSPORT], path)
    return Notifier(ledger.alerts, way, key, clock, ledger.incidents)
