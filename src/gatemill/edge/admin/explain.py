"""POST /v1/explain: what would become of a request. Rule: the same headers and body as the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.arrival import Arrival
from gatemill.gateway import explain

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application

OPERATIONS = (
    *("chat", "messages", "responses", "embeddings", "completions", "inference"),
    *("predict", "rerank", "moderations"),
)


def add(app: Application, clerk: Clerk) -> None:
    """The route."""

    async def told(request: Request) -> Response:
        gateway = clerk.gateway
        arrival = Arrival(gateway.now())
        for name, value in request.headers.raw:
            arrival.header(name, value)
        asked = Asked(request, "operation")
        operation = asked.word("operation", "", *OPERATIONS)
        body = await _body(request, arrival, clerk.body_bytes_max)
        call_id = gateway.new_id(clerk.now_s)
        said = await explain.explain(
            gateway, operation or explain.operation_of(body), body, arrival.caller(), call_id
        )
        return clerk.answer(said)

    app.add_api_route("/v1/explain", told, methods=["POST"], **describe.route("explain"))


async def _body(request: Request, arrival: Arrival, bytes_max: int) -> bytes:
    """Raises what the door raises for such a body."""
    async for piece in request.stream():
        arrival.take(piece, bytes_max)
    if arrival.refusal is not None:
        raise arrival.refusal
    return await arrival.body(bytes_max)
