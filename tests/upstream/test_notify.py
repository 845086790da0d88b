"""Alerts reach the webhook, signed, at least once and under one id."""

from __future__ import annotations

import base64

import msgspec
import pytest
from openai import OpenAI

from gatemill.core.clock import FakeClock
from gatemill.core.errors import UpstreamUnreachable
from gatemill.core.ports import Incoming
from gatemill.ledger.alerts import Alert
from gatemill.ledger.incidents import CLOSED, OPENED, Incident, Notice
from gatemill.policy.incidents import RULES
from gatemill.upstream.notify import NEVER_S, PAUSES_S, Notifier, message_id
from gatemill.wire.webhook import key_of
from playbook import Scene

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OK = Incoming(200, {}, b"")


def an_alert(**fields: object) -> Alert:
    said = {
        "scope": "key",
        "scope_id": "k1",
        "period": "day",
        "window_start_s": 1_699_920_000.0,
        "share": 0.8,
        "limit_microusd": 5_000_000,
        "spent_microusd": 4_100_000,
        "created_s": 1_700_000_000.0,
        "tries": 1,
    }
    return Alert(**(said | fields))


class Outbox:
    """The ledger's part."""

    def __init__(self, *alerts: Alert) -> None:
        self.due = list(alerts)
        self.delivered: list[Alert] = []
        self.failed: list[tuple[Alert, float]] = []

    async def due_alerts(self, now_s: float, limit: int):
        due, self.due = self.due[:limit], self.due[limit:]
        return due

    async def alert_delivered(self, alert: Alert, now_s: float) -> None:
        self.delivered.append(alert)

    async def alert_failed(self, alert: Alert, next_s: float) -> None:
        self.failed.append((alert, next_s))


class Notices:
    """The ledger's part, of incidents."""

    def __init__(self, *notices: Notice) -> None:
        self.due = list(notices)
        self.delivered: list[Notice] = []
        self.failed: list[tuple[Notice, float]] = []

    async def due_notices(self, now_s: float, limit: int):
        due, self.due = self.due[:limit], self.due[limit:]
        return due

    async def notice_delivered(self, notice: Notice, now_s: float) -> None:
        self.delivered.append(notice)

    async def notice_failed(self, notice: Notice, next_s: float) -> None:
        self.failed.append((notice, next_s))


OPEN = Incident(
    id="inc_1",
    name="BreakerOpen",
    subject="p/m",
    severity="warning",
    value=1.0,
    threshold=1.0,
    since_s=1_699_999_940.0,
    opened_s=1_700_000_000.0,
    seen_s=1_700_000_000.0,
    closed_s=None,
)


def notifier(
    outbox: Outbox, *answers: object, notices: Notices | None = None
) -> tuple[Notifier, Scene]:
    scene = Scene(*answers)
    return Notifier(outbox, (scene, "/hook"), key_of(SECRET), FakeClock(), notices), scene


async def test_an_alert_is_delivered_and_the_openai_sdk_verifies_it(monkeypatch):
    outbox = Outbox(an_alert())
    made, scene = notifier(outbox, OK)
    assert await made.send_due() == 1
    (sent,) = scene.asked
    assert sent.path == "/hook"
    said = msgspec.json.decode(sent.body)
    assert said["type"] == "budget.reached"
    assert said["data"]["text"] == "key k1 has used 80% of its budget of $5 (day)."
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    OpenAI(api_key="none").webhooks.verify_signature(sent.body, dict(sent.headers), secret=SECRET)
    assert outbox.delivered == [an_alert()]
    assert made.delivered == 1


@pytest.mark.parametrize("answer", [Incoming(500, {}, b""), UpstreamUnreachable("no")])
async def test_what_fails_is_due_again_later_under_the_same_id(answer):
    outbox = Outbox(an_alert())
    made, scene = notifier(outbox, answer, OK)
    await made.send_due()
    ((alert, next_s),) = outbox.failed
    assert next_s == 1_700_000_000.0 + PAUSES_S[0]
    outbox.due = [an_alert(tries=2)]
    await made.send_due()
    ids = [dict(sent.headers)["webhook-id"] for sent in scene.asked]
    assert ids == [message_id(alert)] * 2


async def test_after_the_last_pause_it_is_given_up():
    outbox = Outbox(an_alert(tries=len(PAUSES_S) + 1))
    made, _ = notifier(outbox, Incoming(500, {}, b""))
    await made.send_due()
    assert outbox.failed[0][1] == NEVER_S


async def test_a_total_budget_has_no_beginning():
    outbox = Outbox(an_alert(period="total", window_start_s=0.0))
    made, scene = notifier(outbox, OK)
    await made.send_due()
    assert msgspec.json.decode(scene.asked[0].body)["data"]["since"] is None


async def test_an_incident_is_told_with_its_remedy_and_its_end_under_an_id_of_its_own(monkeypatch):
    over = msgspec.structs.replace(OPEN, closed_s=1_700_000_300.0)
    notices = Notices(Notice(OPENED, OPEN, 0.0, 1), Notice(CLOSED, over, 0.0, 1))
    made, scene = notifier(Outbox(), OK, OK, notices=notices)
    assert await made.send_due() == 2
    opened, closed = (msgspec.json.decode(sent.body) for sent in scene.asked)
    assert (opened["type"], closed["type"]) == ("alert.opened", "alert.closed")
    assert opened["data"] == {
        "id": "inc_1",
        "name": "BreakerOpen",
        "subject": "p/m",
        "severity": "warning",
        "value": 1.0,
        "threshold": 1.0,
        "since": "2023-11-14T22:12:20+00:00",
        "closed": None,
        "text": "BreakerOpen (p/m): This target has failed so often that it is left alone.",
        "remedy": RULES["BreakerOpen"].remedy,
        "runbook": "docs/runbooks/breaker-open.md",
    }
    assert closed["data"]["closed"] == closed["timestamp"] == "2023-11-14T22:18:20+00:00"
    ids = [dict(sent.headers)["webhook-id"] for sent in scene.asked]
    assert ids == ["inc_1_opened", "inc_1_closed"]
    assert [notice.event for notice in notices.delivered] == [OPENED, CLOSED]
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    sent = scene.asked[0]
    OpenAI(api_key="none").webhooks.verify_signature(sent.body, dict(sent.headers), secret=SECRET)


async def test_a_message_that_fails_is_due_again_and_given_up_in_the_end():
    last = len(PAUSES_S) + 1
    notices = Notices(Notice(OPENED, OPEN, 0.0, 2), Notice(OPENED, OPEN, 0.0, last))
    refusal = Incoming(500, {}, b"")
    made, _ = notifier(Outbox(), refusal, UpstreamUnreachable("no"), notices=notices)
    await made.send_due()
    assert [next_s for _, next_s in notices.failed] == [1_700_000_000.0 + PAUSES_S[1], NEVER_S]
    assert (made.delivered, made.failed) == (0, 2)


async def test_what_no_outbox_takes_is_told_once():
    made, scene = notifier(Outbox(), OK, Incoming(503, {}, b""))
    assert await made.tell(OPENED, OPEN)
    assert not await made.tell(OPENED, OPEN)
    assert len(scene.asked) == 2


async def test_an_incident_of_another_version_is_told_by_its_name():
    new = msgspec.structs.replace(OPEN, name="RuleOfTomorrow")
    made, scene = notifier(Outbox(), OK, notices=Notices(Notice(OPENED, new, 0.0, 1)))
    assert await made.send_due() == 1
    said = msgspec.json.decode(scene.asked[0].body)["data"]
    assert said["text"].startswith("RuleOfTomorrow (p/m): ")
    assert said["runbook"] == "docs/runbooks/rule-of-tomorrow.md"
