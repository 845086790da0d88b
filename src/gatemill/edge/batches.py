"""/v1/batches: OpenAI's batches, run here for every model. Rule: another owner's batch is one that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.job import owner_of
from gatemill.edge.admin.bodies import Asked, read
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.edge.files import page
from gatemill.jobs.batching import desk as batching
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.ledger.batches import Batch
    from gatemill.ledger.ledger import Ledger

PATH = "/v1/batches"
LIST_MAX = 100
LIST = 20
_ONE = PATH + "/{batch_id}"
# The moment of its end, by the status that it has then.
_ENDS = {
    "completed": "completed_at",
    "failed": "failed_at",
    "expired": "expired_at",
    "cancelled": "cancelled_at",
}


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)
    _add_changing(app, clerk, shown)
    _add_reading(app, clerk)


def _add_changing(app: Application, clerk: Clerk, shown: Shown) -> None:
    async def create(request: Request) -> Response:
        key, desk = clerk.caller(request), desk_of(shown.door)
        wanted = await read(request, batching.Wanted)
        once = request.headers.get("idempotency-key", "")
        batch, job = await batching.create(desk.services, key, wanted, once)
        if job is not None:
            await desk.ring([job])
        return clerk.answer((await _told(clerk.ledger, [batch]))[0])

    async def cancel(request: Request, batch_id: str) -> Response:
        key, desk = clerk.caller(request), desk_of(shown.door)
        batch = await batching.cancel(desk.services, key, batch_id)
        return clerk.answer((await _told(clerk.ledger, [batch]))[0])

    app.add_api_route(PATH, create, methods=["POST"], **describe.route("batches_create"))
    app.add_api_route(
        _ONE + "/cancel", cancel, methods=["POST"], **describe.route("batches_cancel")
    )


def _add_reading(app: Application, clerk: Clerk) -> None:
    async def listed(request: Request) -> Response:
        owner = owner_of(clerk.caller(request))
        asked = Asked(request, "limit", "after")
        limit = asked.whole("limit", LIST, LIST_MAX) or LIST
        found = await clerk.ledger.batches.listed(owner, limit + 1, asked.text("after"))
        return clerk.answer(page(await _told(clerk.ledger, found), limit))

    async def one(request: Request, batch_id: str) -> Response:
        owner = owner_of(clerk.caller(request))
        batch = await clerk.ledger.batches.get(batch_id, owner)
        return clerk.answer((await _told(clerk.ledger, [batch]))[0])

    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("batches"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("batch"))


async def _told(ledger: Ledger, batches: Sequence[Batch]) -> list[dict[str, Any]]:
    costs: dict[str, int | None] = {}
    under_way = [batch.job_id for batch in batches if batch.ended_at is None]
    if under_way:
        costs = await ledger.jobs.costs(under_way)
    return [told(batch, costs.get(batch.job_id, batch.cost_microusd)) for batch in batches]


def told(batch: Batch, cost_microusd: int | None) -> dict[str, Any]:
    """A batch as OpenAI's API tells it, and what it has cost so far; null while a price is unknown."""
    metadata = msgspec.json.decode(batch.metadata)
    errors = msgspec.json.decode(batch.errors)
    moments = {
        "in_progress_at": batch.in_progress_at,
        "finalizing_at": batch.finalizing_at,
        "cancelling_at": batch.cancelling_at,
        _ENDS.get(batch.status, ""): batch.ended_at,
    }
    known = {
        "errors": {"object": "list", "data": errors} if errors else None,
        "output_file_id": batch.output_file_id or None,
        "error_file_id": batch.error_file_id or None,
        "metadata": metadata or None,
        **{name: None if at is None else int(at) for name, at in moments.items()},
    }
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "created_at": int(batch.created_at),
        "expires_at": int(batch.expires_at),
        **{name: value for name, value in known.items() if value is not None},
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "usage": {
            "input_tokens": batch.input_tokens,
            "input_tokens_details": {"cached_tokens": batch.cached_tokens},
            "output_tokens": batch.output_tokens,
            "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
            "total_tokens": batch.input_tokens + batch.output_tokens,
        },
        "cost_usd": None if cost_microusd is None else usd(cost_microusd),
    }
