"""Alerts on their way to the webhook of the configuration.

Rule: at least once, always under the same id; a receiver that fails is tried again for three days.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from gatemill.core.call import Timeouts
from gatemill.core.errors import GatemillError
from gatemill.core.money import dollars
from gatemill.core.ports import Outgoing
from gatemill.wire import webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport
    from gatemill.ledger.alerts import Alert

# Seconds before the next try; after the last one the alert is given up and logged.
PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 3600.0 * 6, 3600.0 * 12, 86_400.0, 86_400.0)
NEVER_S = 253_402_300_800.0  # the year 10000
BATCH_MAX = 10
_PATIENCE = Timeouts(connect_s=3.0, first_token_s=15.0, between_chunks_s=15.0, total_s=20.0)


class Outbox(Protocol):
    """Where alerts wait; the ledger."""

    async def due_alerts(self, now_s: float, limit: int) -> Sequence[Alert]:
        """Those not delivered whose time has come, oldest first."""
        ...

    async def alert_delivered(self, alert: Alert, now_s: float) -> None:
        """It has arrived."""
        ...

    async def alert_failed(self, alert: Alert, next_s: float) -> None:
        """It has not; it is due again at Unix time `next_s`."""
        ...


class Notifier:
    """Sends what is due."""

    def __init__(
        self, outbox: Outbox, way: tuple[Transport, str], key: bytes, clock: Clock
    ) -> None:
        """`way` is the transport to the webhook's host, and the path there."""
        self.delivered = 0
        self.failed = 0  # tries
        self._outbox = outbox
        self._transport, self._path = way
        self._key = key
        self._clock = clock

    async def send_due(self) -> int:
        """The number of alerts that were tried."""
        alerts = await self._outbox.due_alerts(self._clock.unix_s(), BATCH_MAX)
        # Together, because the outbox gives them out again when they take too long.
        await asyncio.gather(*map(self._send, alerts))
        return len(alerts)

    async def _send(self, alert: Alert) -> None:
        body = payload(alert)
        now_s = self._clock.unix_s()
        out = Outgoing(
            self._path, body, webhook.headers((self._key,), message_id(alert), now_s, body)
        )
        deadline_s = self._clock.monotonic_s() + _PATIENCE.total_s
        try:
            got = await self._transport.exchange(out, _PATIENCE, deadline_s)
            reason = "" if 200 <= got.status < 300 else f"status {got.status}"
        except GatemillError as error:
            reason = error.code
        if not reason:
            self.delivered += 1
            await self._outbox.alert_delivered(alert, now_s)
            return
        self.failed += 1
        pause_s = PAUSES_S[alert.tries - 1] if alert.tries <= len(PAUSES_S) else None
        structlog.get_logger().warning(
            "alert_not_delivered", id=message_id(alert), reason=reason, again_in_s=pause_s
        )
        await self._outbox.alert_failed(alert, NEVER_S if pause_s is None else now_s + pause_s)


def message_id(alert: Alert) -> str:
    """The same for every try, and for every process that saw the budget cross its share."""
    start = int(alert.window_start_s)
    return f"alert_{alert.scope}_{alert.scope_id}_{alert.period}_{start}_{alert.share:g}"


def payload(alert: Alert) -> bytes:
    """The body of the notification."""
    return msgspec.json.encode(
        {
            "type": "budget.reached",
            "timestamp": _iso(alert.created_s),
            "data": {
                "scope": alert.scope,
                "id": alert.scope_id,
                "period": alert.period,
                "since": _iso(alert.window_start_s) if alert.window_start_s else None,
                "share": alert.share,
                "limit_microusd": alert.limit_microusd,
                "spent_microusd": alert.spent_microusd,
                "text": f"{alert.scope} {alert.scope_id} has used {alert.share:.0%} of its budget of"
                f" {dollars(alert.limit_microusd)} ({alert.period}).",
            },
        }
    )


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
