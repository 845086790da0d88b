"""GET /ui/live: the overview's tiles, again and again, as server-sent events.

Rule: all who look share one set of numbers, so that many open pages cost as much as one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill.core.errors import GatemillError, Overloaded
from gatemill.edge import access
from gatemill.edge.asgi import FlowResponse
from gatemill.edge.flow import Flow
from gatemill.edge.hot import STREAM, Answer
from gatemill.edge.pages import overview, ranges, traffic
from gatemill.edge.pages.frame import Visit
from gatemill.ledger.rollups import HOUR_S
from gatemill.ui.drawing import told
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.edge.application import Application
    from gatemill.edge.pages.ranges import Range
    from gatemill.edge.shown import Shown

PATH = "/ui/live"
EVERY_S = 2.0
CHECK_S = 10.0  # between two looks whether whoever listens still may
LOOK_S = 0.5  # between two looks whether the server shuts down
SLOWLY_S = 10.0  # between two looks at a span that is made of hours or days
LISTENERS_MAX = 100


class Live:
    """One for an application."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._now: tuple[float, list[dict[str, Any]]] = (float("-inf"), [])  # when, tiles
        # By name of the span; there are five.
        self._windows: dict[str, tuple[float, list[dict[str, Any]]]] = {}

    async def listen(self, request: Request) -> Response:
        """The stream. Raises Overloaded where too many are open."""
        visit = Visit(self._shown, request, access.key_of(request), ranges.ASKS)
        chosen, _ = ranges.asked(visit)
        gateway = visit.gateway
        if self._shown.door.onlookers >= LISTENERS_MAX:
            raise Overloaded(
                "Too many pages follow live numbers here. Load the page again now and then.",
                retry_after_s=10,
            )
        request_id = gateway.new_id(visit.now_s)
        headers = STREAM + b"x-request-id: %b\r\n" % request_id.encode()
        stream = Flow(self._told(visit, chosen), request_id)
        answer = Answer(200, headers, b"", stream, "ui_live", "openai", request_id)
        return FlowResponse(self._shown.door, answer)

    async def _told(self, visit: Visit, chosen: Range) -> AsyncGenerator[bytes, None]:
        door = self._shown.door
        door.onlookers += 1
        try:
            checked_s = visit.gateway.now()
            while not self._is_over():
                if visit.gateway.now() - checked_s >= CHECK_S:
                    checked_s = visit.gateway.now()
                    if not await self._is_welcome(visit):
                        break
                if (said := await self._tiles(visit, chosen)) is not None:
                    yield sse.event(fields.encode(said), "tiles")
                for _ in range(int(EVERY_S / LOOK_S)):
                    await asyncio.sleep(LOOK_S)
                    if self._is_over():
                        break
        finally:
            door.onlookers -= 1

    async def _is_welcome(self, visit: Visit) -> bool:
        """Who has signed out, or whose key has ended, sees no more."""
        try:
            await access.check(self._shown, visit.request, access.ADMIN_READ)
        except GatemillError:
            return False
        return True

    def _is_over(self) -> bool:
        return self._shown.door.draining

    async def _tiles(self, visit: Visit, chosen: Range) -> dict[str, str] | None:
        """Words by name; None while the database cannot say."""
        gateway, ledger = visit.gateway, visit.ledger
        now_s = gateway.now()
        try:
            if now_s - self._now[0] >= EVERY_S * 0.9:
                found = await overview.tiles_now(ledger, visit.now_s, gateway.meter.in_flight)
                self._now = (now_s, found)
            at_s, tiles = self._windows.get(chosen.name, (float("-inf"), []))
            if now_s - at_s >= (EVERY_S * 0.9 if chosen.step_s < HOUR_S else SLOWLY_S):
                _, window = ranges.asked(visit)
                whole = traffic.total(await ledger.trends.usage(window))
                tiles = overview.window_tiles(whole, await ledger.trends.latency(window))
                self._windows[chosen.name] = (now_s, tiles)
        except GatemillError:
            return None
        return {one["name"]: told(one) for one in [*tiles, *self._now[1]]}


def add(app: Application, shown: Shown) -> None:
    """The route."""
    live = Live(shown)

    async def listen(request: Request) -> Response:
        return await live.listen(request)

    app.add_api_route(PATH, listen, methods=["GET"], name="ui_live", include_in_schema=False)
