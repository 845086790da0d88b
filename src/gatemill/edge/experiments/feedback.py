"""/v1/feedback: what became of an answer. Rule: an ordinary key is enough, for its own requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.experiments.told import Window
from gatemill.experiments.asked import Feedback

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown


def add(app: Application, shown: Shown) -> None:
    """The route."""
    window = Window(shown)

    async def tell(request: Request) -> Response:
        key = window.clerk.caller(request)
        said = await window.counter.read(request, Feedback)
        told = await window.desk.inbox.tell(key, said)
        answer = {
            "object": "feedback",
            "experiment": told.experiment or None,
            "arm": told.arm or None,
            "metric": said.metric,
            "counted": told.counted,
            "reason": told.reason or None,
        }
        return window.clerk.answer(answer, 202)

    path = "/v1/feedback"
    app.add_api_route(path, tell, methods=["POST"], **describe.route("feedback"))
