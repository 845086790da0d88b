"""The application: FastAPI, whose routes are plain until somebody asks what they are.

Rule: serving needs a path, a method and a function; what FastAPI finds out about a function is needed
for the description alone, and costs a third of a millisecond and 20 KB a route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fastapi import Request
    from fastapi.responses import Response


class Application(FastAPI):
    """Takes handlers of a request and of the parameters in its path, which are texts."""

    def __init__(self, title: str, version: str, description: str) -> None:
        super().__init__(
            title=title,
            version=version,
            description=description,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
        )
        self._told: list[tuple[str, Callable[..., Awaitable[Response]], dict[str, Any]]] = []

    def add_api_route(
        self, path: str, endpoint: Callable[..., Awaitable[Response]], **about: Any
    ) -> None:
        """Requests to `path` are answered by `endpoint`; of `about`, only `methods` counts for that."""
        methods: list[str] = about["methods"]
        route = Route(path, _plain(endpoint), methods=methods, include_in_schema=False)
        route.methods = set(methods)  # Starlette would add HEAD
        self.router.routes.append(route)
        if about.pop("include_in_schema", True):
            self._told.append((path, endpoint, about))

    @property
    def told(self) -> Sequence[tuple[str, frozenset[str]]]:
        """Path and methods of every route that the description has."""
        return [(path, frozenset(about["methods"])) for path, _, about in self._told]

    def openapi(self) -> dict[str, Any]:
        """FastAPI's description of all routes, made anew each time."""
        page = FastAPI(title=self.title, version=self.version, description=self.description)
        for path, endpoint, about in self._told:
            page.add_api_route(path, endpoint, **about)
        return page.openapi()


def _plain(endpoint: Any) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        answer: Response = await endpoint(request, **request.path_params)
        return answer

    async def handle_bare(_request: Request) -> Response:
        answer: Response = await endpoint()
        return answer

    return handle if endpoint.__code__.co_argcount else handle_bare
