"""/v1/webhooks: who is told of ended jobs, with which secret, and what became of it.

Rule: a secret is in the answer that makes it and in no other, but for the default one, which its owner
may ask for. Of what a caller's server said, only the status is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import Conflict, GatemillError, Overloaded
from gatemill.core.job import STATES, owner_of
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.jobs.counter import Counter, page
from gatemill.ledger import outbox
from gatemill.ledger.webhooks import OVERLAP_S, Wanted
from gatemill.wire import webhook

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.ports import Json
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.jobs.services import Services
    from gatemill.ledger.webhooks import Delivery, Endpoint, Recipient, Secrets, Try, Webhooks

PATH = "/v1/webhooks"
_ONE = PATH + "/{webhook_id}"
_DELIVERIES = PATH + "/deliveries"
_DEFAULT = PATH + "/default_secret"
_Events = Annotated[list[str], Meta(min_length=1, max_length=len(webhook.PATTERNS))]
_Description = Annotated[str, Meta(max_length=200)]


class _New(Struct):
    url: str
    events: _Events = msgspec.field(default_factory=lambda: ["*"])
    description: _Description = ""


class _Change(Struct):
    url: str | UnsetType = UNSET
    events: _Events | UnsetType = UNSET
    description: _Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class _Url(Struct):
    url: str


class _Rotate(Struct):
    overlap_s: Annotated[float, Meta(ge=0, le=7 * 86_400)] = OVERLAP_S


class _Window:
    """What these routes share: who asks, and where it is kept."""

    def __init__(self, shown: Shown) -> None:
        self.clerk = Clerk(shown)
        self.counter = Counter(self.clerk, shown)

    @property
    def services(self) -> Services:
        """Of the jobs."""
        return self.counter.desk.services

    @property
    def webhooks(self) -> Webhooks:
        """Where endpoints are kept."""
        return self.clerk.ledger.webhooks

    def check(self, url: str | UnsetType, events: list[str] | UnsetType) -> None:
        """Raises InvalidValue for what no endpoint may have."""
        if url is not UNSET:
            self.services.sender.check(url, "url")
        if events is not UNSET:
            webhook.check_patterns(events)


def add(app: Application, shown: Shown) -> None:
    """The routes; those with a fixed path come first."""
    window = _Window(shown)
    _add_secret(app, window)
    _add_deliveries(app, window)
    _add_endpoints(app, window)
    _add_acts(app, window)


def _add_endpoints(app: Application, window: _Window) -> None:
    clerk = window.clerk

    async def create(request: Request) -> Response:
        key = clerk.caller(request)
        said = await window.counter.read(request, _New)
        window.check(said.url, said.events)
        most = window.services.amounts.webhook_endpoints_max
        events = tuple(said.events)
        made, secret = await window.webhooks.create(
            owner_of(key), said.url, events, said.description, most
        )
        return clerk.answer({**_endpoint(made), "secret": secret}, 201)

    async def listed(request: Request) -> Response:
        key = clerk.caller(request)
        asked = Asked(request, "limit", "after")
        limit = page(asked)
        found = await window.webhooks.listed(_seen_by(key), limit + 1, asked.text("after"))
        return clerk.listing([_endpoint(each) for each in found], limit)

    async def one(request: Request, webhook_id: str) -> Response:
        key = clerk.caller(request)
        return clerk.answer(_endpoint(await window.webhooks.get(webhook_id, _seen_by(key))))

    async def change(request: Request, webhook_id: str) -> Response:
        key = clerk.caller(request)
        said = await window.counter.read(request, _Change)
        window.check(said.url, said.events)
        changes = {name: value for name, value in _sent(said).items() if name != "enabled"}
        enabled = None if said.enabled is UNSET else said.enabled
        found = await window.webhooks.update(webhook_id, _changed_by(key), changes, enabled=enabled)
        return clerk.answer(_endpoint(found))

    async def delete(request: Request, webhook_id: str) -> Response:
        key = clerk.caller(request)
        await window.webhooks.delete(webhook_id, _changed_by(key))
        return clerk.answer({"object": "webhook", "id": webhook_id, "deleted": True})

    app.add_api_route(PATH, create, methods=["POST"], **describe.route("webhooks_create"))
    # The same for the dashboard.
    app.add_api_route(
        "/ui/webhooks", create, methods=["POST"], name="ui_webhooks_create", include_in_schema=False
    )
    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("webhooks"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("webhook"))
    app.add_api_route(_ONE, change, methods=["PATCH"], **describe.route("webhooks_update"))
    app.add_api_route(_ONE, delete, methods=["DELETE"], **describe.route("webhooks_delete"))


def _add_acts(app: Application, window: _Window) -> None:
    clerk = window.clerk

    async def rotate(request: Request, webhook_id: str) -> Response:
        key = clerk.caller(request)
        said = await window.counter.read(request, _Rotate)
        found, secret = await window.webhooks.rotate(webhook_id, _changed_by(key), said.overlap_s)
        return clerk.answer({**_endpoint(found), "secret": secret})

    async def test(request: Request, webhook_id: str) -> Response:
        key = clerk.caller(request)
        found = await window.webhooks.get(webhook_id, _changed_by(key))
        to = await window.webhooks.recipient(found.owner, found.id)
        about = {"id": found.id, "object": "webhook"}
        return clerk.answer(await _tested(window.services, found.owner, to, about))

    async def test_url(request: Request) -> Response:
        key = clerk.caller(request)
        said = await window.counter.read(request, _Url)
        window.check(said.url, UNSET)
        owner = owner_of(key)
        to = await window.webhooks.recipient(owner, "")
        to = msgspec.structs.replace(to, url=said.url)
        about = {"id": None, "object": "webhook"}
        return clerk.answer(await _tested(window.services, owner, to, about))

    path = PATH + "/test"
    app.add_api_route(path, test_url, methods=["POST"], **describe.route("webhooks_test_url"))
    path = _ONE + "/rotate"
    app.add_api_route(path, rotate, methods=["POST"], **describe.route("webhooks_rotate"))
    path = _ONE + "/test"
    app.add_api_route(path, test, methods=["POST"], **describe.route("webhooks_test"))


def _add_secret(app: Application, window: _Window) -> None:
    clerk = window.clerk

    async def secret(request: Request) -> Response:
        key = clerk.caller(request)
        return clerk.answer(_secrets(await window.webhooks.default_secret(owner_of(key))))

    async def rotate(request: Request) -> Response:
        key = clerk.caller(request)
        said = await window.counter.read(request, _Rotate)
        found = await window.webhooks.rotate_default(owner_of(key), said.overlap_s)
        return clerk.answer(_secrets(found))

    app.add_api_route(_DEFAULT, secret, methods=["GET"], **describe.route("webhooks_secret"))
    path = _DEFAULT + "/rotate"
    app.add_api_route(path, rotate, methods=["POST"], **describe.route("webhooks_secret_rotate"))


def _add_deliveries(app: Application, window: _Window) -> None:
    clerk = window.clerk

    async def listed(request: Request) -> Response:
        key = clerk.caller(request)
        asked = Asked(request, "limit", "after", "state", "job", "webhook")
        limit = page(asked)
        job = asked.text("job")
        wanted = Wanted(
            owner=_seen_by(key),
            state=asked.word("state", "", *STATES),
            # By the id of whatever the job is called: job_X, resp_X, batch_X.
            job="job_" + job.partition("_")[2] if job else "",
            endpoint=asked.text("webhook"),
        )
        found = await window.webhooks.deliveries(wanted, limit + 1, asked.text("after"))
        return clerk.listing([_delivery(each) for each in found], limit)

    async def one(request: Request, delivery_id: str) -> Response:
        key = clerk.caller(request)
        found, tries = await window.webhooks.delivery(delivery_id, _seen_by(key))
        return clerk.answer({**_delivery(found), "tries": [_try(each) for each in tries]})

    async def resend(request: Request, delivery_id: str) -> Response:
        key = clerk.caller(request)
        owner, jobs = _changed_by(key), clerk.ledger.jobs
        await window.webhooks.delivery(delivery_id, owner)  # it is one of theirs
        if await jobs.replay(delivery_id, owner or None):
            job, _ = await jobs.look(delivery_id, owner or None)
            await window.counter.desk.ring([job])
        elif not await window.webhooks.hurry(delivery_id, owner):
            raise Conflict("This delivery is being sent just now.", param="id")
        found, _ = await window.webhooks.delivery(delivery_id, owner)
        return clerk.answer(_delivery(found), 202)

    path = _DELIVERIES
    app.add_api_route(path, listed, methods=["GET"], **describe.route("webhooks_deliveries"))
    path += "/{delivery_id}"
    app.add_api_route(path, one, methods=["GET"], **describe.route("webhooks_delivery"))
    path += "/resend"
    app.add_api_route(path, resend, methods=["POST"], **describe.route("webhooks_resend"))


async def _tested(services: Services, owner: str, to: Recipient, about: Json) -> Json:
    """What came back of a notification that was sent just now, once."""
    now_s, began_s = services.clock.unix_s(), services.clock.monotonic_s()
    body = outbox.new_event("webhook.test", about, now_s)
    message_id = outbox.new_id(now_s)
    status, error = None, None
    try:
        signed = webhook.headers(to.keys, message_id, now_s, body)
        status = (await services.sender.post(owner, to.url, signed, body)).status
    except Overloaded:
        raise
    except GatemillError as failure:
        error = failure.message
    delivered = status is not None and 200 <= status < 300
    if status is not None and not delivered:
        error = f"The server answered {status}."
    return {
        "object": "webhook.test",
        "id": message_id,
        "delivered": delivered,
        "status": status,
        "took_ms": round((services.clock.monotonic_s() - began_s) * 1000),
        "error": error,
    }


def _seen_by(key: Key) -> str:
    """Whose things a key may see; "" is everybody's."""
    return "" if key.may("admin:read") else owner_of(key)


def _changed_by(key: Key) -> str:
    """Whose things a key may change; "" is everybody's."""
    return "" if key.admin else owner_of(key)


def _sent(said: Struct) -> dict[str, Any]:
    return {
        name: value for name, value in msgspec.structs.asdict(said).items() if value is not UNSET
    }


def _endpoint(what: Endpoint) -> Json:
    return {
        "object": "webhook",
        "id": what.id,
        "url": what.url,
        "description": what.description,
        "events": list(what.events),
        "enabled": what.disabled_at is None,
        "disabled_at": _seconds(what.disabled_at),
        "disabled_reason": what.disabled_reason or None,
        "given_up": what.given_up,
        "older_secret_until": _seconds(what.older_until),
        "created_at": _seconds(what.created_at),
    }


def _secrets(what: Secrets) -> Json:
    return {
        "object": "webhook.secret",
        "secret": what.secret,
        "older_until": _seconds(what.older_until),
    }


def _delivery(what: Delivery) -> Json:
    letter, waits = what.letter, what.state in ("queued", "scheduled")
    return {
        "object": "webhook.delivery",
        "id": what.id,
        "event": letter.event,
        "subject": letter.subject,
        "webhook_id": letter.endpoint or None,
        "url": letter.url or None,
        "state": what.state,
        "created_at": _seconds(what.created_at),
        "next_try_at": _seconds(what.run_at) if waits else None,
        "delivered_at": _seconds(what.finished_at) if what.last else None,
        "attempt": what.attempt,
        "attempts_max": what.attempts_max,
        "status": what.last.status if what.last else None,
        "error": None if what.error is None else msgspec.to_builtins(what.error),
    }


def _try(what: Try) -> Json:
    return {
        "at": _seconds(what.at),
        "status": what.status,
        "took_ms": what.took_ms,
        "error": what.error or None,
    }


def _seconds(unix_s: float | None) -> float | None:
    return None if unix_s is None else round(unix_s, 3)
