"""What a prompt would say, and how two versions differ. Rule: nothing is asked of a model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import MissingParameter
from gatemill.edge.admin.bodies import Asked, read
from gatemill.edge.registry.names import ONE
from gatemill.edge.registry.versions import VERSION, number_of
from gatemill.registry.comparing import compared

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.registry.desk import Desk


class _Values(Struct):
    prompt_variables: dict[str, Any] = {}
    features: dict[str, Any] = {}  # "user.tier" -> value, in place of what is known of an entity


def add(app: Application, clerk: Clerk, desk: Callable[[], Desk]) -> None:
    """The routes."""

    async def render(request: Request, name: str, version: str) -> Response:
        said = await read(request, _Values)
        filled = desk().prompt(name, number_of(version)).fill(said.prompt_variables, said.features)
        return clerk.answer(
            {
                "object": "prompt.rendering",
                "version": filled.version,
                "messages": filled.messages,
                "params": filled.params,
            }
        )

    async def compare(request: Request, name: str) -> Response:
        asked = Asked(request, "from", "to")
        numbers = [asked.whole(each, None, 2**31) for each in ("from", "to")]
        if None in numbers:
            raise MissingParameter("`from` and `to`: send two numbers of versions.", param="from")
        old, new = [await desk().rows.version(name, number or 0) for number in numbers]
        said = await asyncio.to_thread(compared, old, new)
        return clerk.answer({"object": "model.comparison", "model": name, **said})

    app.add_api_route(
        VERSION + "/render", render, methods=["POST"], **describe.route("versions_render")
    )
    app.add_api_route(ONE + "/compare", compare, methods=["GET"], **describe.route("compare"))
