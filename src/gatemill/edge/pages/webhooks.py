"""/ui/webhooks: who is told of ended jobs, and what became of it. Rule: no secret is here but the one just made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gatemill.core.job import STATES
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.ledger.webhooks import Wanted
from gatemill.wire import webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Json
    from gatemill.ledger.webhooks import Delivery, Endpoint

ENDPOINTS_MAX = 200
LIST = 50
_CHARS_MAX = 16_384  # of a body that is shown


async def _data(visit: Visit) -> Data:
    asked, webhooks = visit.asked, visit.ledger.webhooks
    job = asked.text("job")
    state, endpoint = asked.word("state", "", *STATES), asked.text("webhook")
    # By the id of whatever the job is called: job_X, resp_X, batch_X.
    of = "job_" + job.partition("_")[2] if job else ""
    wanted = Wanted(state=state, job=of, endpoint=endpoint)
    endpoints = await webhooks.listed("", ENDPOINTS_MAX + 1)
    found = await webhooks.deliveries(wanted, LIST + 1, asked.text("after"))
    may_change = visit.key.may("jobs")
    return {
        "endpoints": [_endpoint(each) for each in endpoints[:ENDPOINTS_MAX]],
        "endpoints_left_out": len(endpoints) > ENDPOINTS_MAX,
        "deliveries": told(found[:LIST], endpoints),
        "next": found[LIST - 1].id if len(found) > LIST else "",
        "filter": {"state": state, "job": job, "webhook": endpoint},
        "states": list(STATES),
        "events": list(webhook.PATTERNS),
        "may_change": may_change,
        "may_create": may_change and visit.ledger.keys.by_id(visit.key.id) is not None,
    }


async def _one(visit: Visit, delivery_id: str) -> Data:
    webhooks = visit.ledger.webhooks
    found, tries = await webhooks.delivery(delivery_id, "")
    body = found.letter.body
    return {
        "title": f"Delivery {delivery_id}",
        **told([found], await webhooks.listed("", ENDPOINTS_MAX))[0],
        "tries": [msgspec.to_builtins(each) for each in tries],
        "body": body[:_CHARS_MAX],
        "is_cut": len(body) > _CHARS_MAX,
        "may_change": visit.key.may("jobs"),
    }


def _endpoint(what: Endpoint) -> Json:
    told: Json = msgspec.to_builtins(what)
    return {**told, "enabled": what.disabled_at is None}


def told(deliveries: Sequence[Delivery], endpoints: Sequence[Endpoint]) -> list[Json]:
    """Notifications in a list, each with the URL that it goes to; "" where its endpoint is gone."""
    urls = {each.id: each.url for each in endpoints}
    return [
        said | {"url": said["url"] or urls.get(said["webhook_id"], "")}
        for said in map(_delivery, deliveries)
    ]


def _delivery(what: Delivery) -> Json:
    letter, waits = what.letter, what.state in ("queued", "scheduled")
    return {
        "id": what.id,
        "event": letter.event,
        "subject": letter.subject,
        "webhook_id": letter.endpoint,
        "url": letter.url,
        "state": what.state,
        "created_at": what.created_at,
        "next_try_at": what.run_at if waits else None,
        "attempt": what.attempt,
        "attempts_max": what.attempts_max,
        "status": what.last.status if what.last else None,
        "error": None if what.error is None else msgspec.to_builtins(what.error),
    }


PAGE = Page(
    "/ui/webhooks", "Webhooks", "webhooks.html", _data, ("state", "job", "webhook", "after")
)
DELIVERY = Page(
    "/ui/webhooks/deliveries/{delivery_id}", "Delivery", "delivery.html", _one, hidden=True
)
