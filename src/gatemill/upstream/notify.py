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
from gatemill.core.ports import Outgoing
from gatemill.policy.incidents import RULES, Rule, runbook
from gatemill.wire import webhook
from gatemill.wire.limits import short_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport
    from gatemill.ledger.alerts import Alert
    from gatemill.ledger.incidents import Incident, Notice

# Seconds before the next try; after the last one the alert is given up and logged.
PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 3600.0 * 6, 3600.0 * 12, 86_400.0, 86_400.0)
NEVER_S = 253_402_300_800.0  # the year 10000
BATCH_MAX = 10
# Of another version, whose process has noted the incident in the database that we share.
_OTHER = Rule("", "A rule that this version does not know.", "See the runbook.")
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


class Notices(Protocol):
    """Where messages about incidents wait; the ledger."""

    async def due_notices(self, now_s: float, limit: int) -> Sequence[Notice]:
        """Those not delivered whose time has come, oldest first; an end after its beginning."""
        ...

    async def notice_delivered(self, notice: Notice, now_s: float) -> None:
        """It has arrived."""
        ...

    async def notice_failed(self, notice: Notice, next_s: float) -> None:
        """It has not; it is due again at Unix time `next_s`."""
        ...


class Notifier:
    """Sends what is due."""

    def __init__(
        self,
        outbox: Outbox,
        way: tuple[Transport, str],
        key: bytes,
        clock: Clock,
        notices: Notices | None = None,
    ) -> None:
        """`way` is the transport to the webhook's host, and the path there."""
        self.delivered = 0
        self.failed = 0  # tries
        self._outbox = outbox
        self._notices = notices
        self._transport, self._path = way
        self._key = key
        self._clock = clock

    async def send_due(self) -> int:
        """The number of messages that were tried."""
        alerts = await self._outbox.due_alerts(self._clock.unix_s(), BATCH_MAX)
        # Together, because the outbox gives them out again when they take too long.
        await asyncio.gather(*map(self._send, alerts))
        if self._notices is None:
            return len(alerts)
        notices = await self._notices.due_notices(self._clock.unix_s(), BATCH_MAX)
        await asyncio.gather(*(self._send_notice(self._notices, notice) for notice in notices))
        return len(alerts) + len(notices)

    async def tell(self, event: str, incident: Incident) -> bool:
        """Whether one try has told of an incident that no outbox takes."""
        reason = await self._post(notice_id(event, incident), notice_payload(event, incident))
        return not reason

    async def _send_notice(self, notices: Notices, notice: Notice) -> None:
        message = notice_id(notice.event, notice.incident)
        reason = await self._post(message, notice_payload(notice.event, notice.incident))
        now_s = self._clock.unix_s()
        if reason:
            await notices.notice_failed(notice, self._again_s(message, reason, notice.tries))
        else:
            await notices.notice_delivered(notice, now_s)

    async def _send(self, alert: Alert) -> None:
        reason = await self._post(message_id(alert), payload(alert))
        now_s = self._clock.unix_s()
        if reason:
            next_s = self._again_s(message_id(alert), reason, alert.tries)
            await self._outbox.alert_failed(alert, next_s)
        else:
            await self._outbox.alert_delivered(alert, now_s)

    async def _post(self, message: str, body: bytes) -> str:
        """Why it has not arrived; "" when it has."""
        now_s = self._clock.unix_s()
        out = Outgoing(self._path, body, webhook.headers((self._key,), message, now_s, body))
        deadline_s = self._clock.monotonic_s() + _PATIENCE.total_s
        try:
            got = await self._transport.exchange(out, _PATIENCE, deadline_s)
            reason = "" if 200 <= got.status < 300 else f"status {got.status}"
        except GatemillError as error:
            reason = error.code
        self.delivered += not reason
        self.failed += bool(reason)
        return reason

    def _again_s(self, message: str, reason: str, tries: int) -> float:
        pause_s = PAUSES_S[tries - 1] if tries <= len(PAUSES_S) else None
        structlog.get_logger().warning(
            "alert_not_delivered", id=message, reason=reason, again_in_s=pause_s
        )
        return NEVER_S if pause_s is None else self._clock.unix_s() + pause_s


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
                f" ${short_usd(alert.limit_microusd)} ({alert.period}).",
            },
        }
    )


def notice_id(event: str, incident: Incident) -> str:
    """The same for every try."""
    return f"{incident.id}_{event.rpartition('.')[2]}"


def notice_payload(event: str, incident: Incident) -> bytes:
    """The body of a message about an incident."""
    rule = RULES.get(incident.name, _OTHER)
    at_s = incident.opened_s if incident.closed_s is None else incident.closed_s
    about = f" ({incident.subject})" if incident.subject else ""
    return msgspec.json.encode(
        {
            "type": event,
            "timestamp": _iso(at_s),
            "data": {
                "id": incident.id,
                "name": incident.name,
                "subject": incident.subject,
                "severity": incident.severity,
                "value": incident.value,
                "threshold": incident.threshold,
                "since": _iso(incident.since_s),
                "closed": None if incident.closed_s is None else _iso(incident.closed_s),
                "text": f"{incident.name}{about}: {rule.summary}",
                "remedy": rule.remedy,
                "runbook": runbook(incident.name),
            },
        }
    )


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
