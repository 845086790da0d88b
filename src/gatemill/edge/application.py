"""The application: plain routes of Starlette, which FastAPI describes once somebody asks what they are.

Rule: serving needs a path, a method and a function; what FastAPI finds out about a function is needed
for the description alone, and costs a third of a millisecond and 20 KB a route. To import it costs 9 MB
and a quarter of a start, so that waits too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route, WebSocketRoute

from gatemill.edge import access, tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from gatemill.describe.document import Told
    from gatemill.edge.access import Access
    from gatemill.edge.shown import Shown


class _Rest(PathConvertor):
    """The rest of a path, whatever it is; Starlette's own `path` ends at a line break."""

    regex = "(?s:.*)"


register_url_convertor("rest", _Rest())


class Application(Starlette):
    """Takes handlers of a request and of the parameters in its path, which are texts."""

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        # A redirect would name the Host that the caller made up.
        self.router.redirect_slashes = False
        self._shown = shown
        self.accesses: dict[tuple[str, str], Access] = {}  # of every path and method
        self.told: list[Told] = []  # what the description has

    def add_api_route(
        self, path: str, endpoint: Callable[..., Awaitable[Response]], **about: Any
    ) -> None:
        """Requests to `path` are answered by `endpoint`, once `access.check` has let them pass.

        Of `about`, only `methods` and `name` count for that. Raises LookupError for a name without a
        row in edge/access.py.
        """
        methods: list[str] = about["methods"]
        needed = access.of(about["name"])
        handle = _guarded(self._shown, about["name"], path, endpoint)
        route = Route(path, handle, methods=methods, include_in_schema=False)
        self.accesses.update({(method, path): needed for method in methods})
        route.methods = set(methods)  # Starlette would add HEAD
        self.router.routes.append(route)
        if about.pop("include_in_schema", True):
            self.told.append((path, endpoint, about))

    def add_websocket(self, path: str, endpoint: Callable[[WebSocket], Awaitable[None]]) -> None:
        """Who opens a WebSocket at `path` is talked to by `endpoint`, which checks who it is."""
        self.router.routes.append(WebSocketRoute(path, endpoint))


def _guarded(
    shown: Shown, name: str, path: str, endpoint: Any
) -> Callable[[Request], Awaitable[Response]]:
    needed = access.of(name)
    is_bare = not endpoint.__code__.co_argcount

    async def handle(request: Request) -> Response:
        gateway = shown.door.gateway
        if gateway.tracer is None or name in tracing.UNTRACED:
            return await answer(request)
        return await tracing.answered(gateway, request, path, partial(answer, request))

    async def answer(request: Request) -> Response:
        await access.check(shown, request, needed)
        found: Response = await (
            endpoint() if is_bare else endpoint(request, **request.path_params)
        )
        if needed.noted:  # what was refused has raised
            await access.note(shown, request, name)
        return found

    return handle
