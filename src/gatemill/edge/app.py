"""All routes: Starlette for everything but the way of a hot request.

Rule: edge/access.py says who may call which; a failure leaves in the format of its path.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route
from starlette.websockets import WebSocket

from gatemill import describe
from gatemill.core.errors import (
    ClientGone,
    GatemillError,
    InternalError,
    MethodNotAllowed,
    NotFound,
)
from gatemill.core.version import VERSION
from gatemill.edge import (
    access,
    admin,
    batches,
    config_routes,
    experiments,
    features,
    files,
    hot,
    jobs,
    knowledge,
    models,
    pages,
    recordings,
    registry,
    serving,
    sides,
    socket,
    webhooks,
)
from gatemill.edge.application import Application
from gatemill.edge.asgi import HotResponse
from gatemill.edge.signin import routes
from gatemill.observe import metrics
from gatemill.wire import failures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

_encode = msgspec.json.Encoder().encode


def build(shown: Shown, *, with_docs: bool) -> Application:
    """The application. Failures, hot routes, models, health, metrics, documentation."""
    app = Application(shown)
    _add_failures(app, shown)
    _add_hot(app, shown)
    for room in (serving, registry, experiments, features, recordings, knowledge):
        room.add(app, shown)
    _add_models(app, shown)
    _add_health(app, shown)
    config_routes.add(app, shown)
    admin.add(app, shown)
    jobs.add(app, shown)
    files.add(app, shown)
    batches.add(app, shown)
    webhooks.add(app, shown)
    routes.add(app, shown)
    pages.add(app, shown)
    if with_docs:
        _add_docs(app)

    async def chat_stream(websocket: WebSocket) -> None:
        await socket.chat(shown, websocket)

    app.add_websocket("/v1/chat/stream", chat_stream)
    return app


def json_response(value: Any, request_id: str = "", status: int = 200) -> Response:
    """A JSON answer."""
    headers = {"x-request-id": request_id} if request_id else None
    return Response(_encode(value), status, headers, "application/json")


def _add_hot(app: Application, shown: Shown) -> None:
    def handler(operation: str) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return HotResponse(shown.door, operation)

        return handle

    seen: set[str] = set()
    for raw, operation in hot.PATHS.items():
        path = raw.decode()
        is_first = operation not in seen
        seen.add(operation)
        if is_first or path.startswith(("/v1/", "/api/")):
            app.add_api_route(
                path, handler(operation), methods=["POST"], **describe.route(operation)
            )
        else:
            # Another way to a described route.
            app.add_api_route(
                path,
                handler(operation),
                methods=["POST"],
                include_in_schema=False,
                **describe.route(operation),
            )


def _add_models(app: Application, shown: Shown) -> None:
    def is_anthropic(request: Request) -> bool:
        return "anthropic-version" in request.headers

    async def list_models(request: Request) -> Response:
        key = access.key_of(request)
        routes = shown.door.gateway.routes
        anthropic = is_anthropic(request)
        return json_response(models.listing(routes, key, anthropic=anthropic), _new_id(shown))

    async def get_model(request: Request, model: str) -> Response:
        key = access.key_of(request)
        routes = shown.door.gateway.routes
        anthropic = is_anthropic(request)
        known = registry.known(shown, key, model)
        said = models.one(routes, key, model, known, anthropic=anthropic)
        return json_response(said, _new_id(shown))

    for prefix in ("/v1", ""):
        for path, handler, name in (
            ("/models", list_models, "models"),
            ("/models/{model:rest}", get_model, "model"),
        ):
            app.add_api_route(
                prefix + path,
                handler,
                methods=["GET"],
                include_in_schema=bool(prefix),
                **describe.route(name),
            )


def _add_health(app: Application, shown: Shown) -> None:
    async def live() -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request) -> Response:
        checks = {
            "ledger": "ok" if shown.healthy() else "failing",
            "accepting": "draining" if shown.door.leaving else "ok",
            "models": "loading" if shown.loading() else "ok",
        }
        good = all(value == "ok" for value in checks.values())
        answer: dict[str, Any] = {"status": "ok" if good else "unavailable"}
        if "verbose" in request.query_params:
            answer["checks"] = checks
        return json_response(answer, status=200 if good else 503)

    async def measure() -> Response:
        gateway = shown.door.gateway
        await gateway.meter.refresh()
        meter = gateway.meter if shown.board is None else shown.board.together()
        page = metrics.page(meter, VERSION, gateway.version)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_api_route("/livez", live, methods=["GET"], **describe.route("livez"))
    app.add_api_route("/readyz", ready, methods=["GET"], **describe.route("readyz"))
    for path in ("/health", "/healthz"):
        app.add_api_route(
            path, ready, methods=["GET"], include_in_schema=False, **describe.route("readyz")
        )
    app.add_api_route("/metrics", measure, methods=["GET"], **describe.route("metrics"))


def _add_docs(app: Application) -> None:
    @cache
    def describing() -> Any:
        return import_module("gatemill.describe.document")

    @cache
    def document() -> dict[str, Any]:
        found: dict[str, Any] = describing().complete(app.told, access.scopes_of)
        return found

    @cache
    def page() -> str:
        return str(describing().page(document()))

    async def openapi() -> Response:
        return json_response(document())

    async def docs() -> Response:
        policy = {"content-security-policy": describing().POLICY}
        return HTMLResponse(page(), headers=policy)

    for path, handler, name in (("/openapi.json", openapi, "openapi"), ("/docs", docs, "docs")):
        app.add_api_route(
            path, handler, methods=["GET"], include_in_schema=False, **describe.route(name)
        )


def _new_id(shown: Shown) -> str:
    gateway = shown.door.gateway
    return gateway.new_id(gateway.clock.unix_s())


def _add_failures(app: Application, shown: Shown) -> None:
    def answer(request: Request, error: GatemillError, kept: dict[str, str]) -> Response:
        path = request.scope["path"]
        family = "problem" if path.startswith("/api/") else "openai"
        if path.startswith("/v1/messages"):
            family = "anthropic"
        request_id = _new_id(shown)
        headers = {"x-request-id": request_id, **kept}
        for line in failures.header_lines(error).decode().splitlines():
            name, _, value = line.partition(": ")
            headers[name] = value
        shown.door.gateway.meter.error(error.code)
        return Response(
            failures.body(error, family, request_id),
            error.status,
            headers,
            failures.media_type(family).decode(),
        )

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatemillError)
        return answer(request, error, {})

    async def theirs(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405 and (allowed := _methods(app, request)):
            failure = MethodNotAllowed(f"Use {allowed} on this path.")
            return answer(request, failure, {"allow": allowed})
        return answer(request, NotFound("There is no such path. GET /docs lists all."), {})

    async def gone(request: Request, error: Exception) -> Response:
        return answer(request, ClientGone("The caller hung up."), {})

    async def unexpected(request: Request, error: Exception) -> Response:
        return answer(request, InternalError("This is our fault, not yours. See the log."), {})

    app.add_exception_handler(GatemillError, ours)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)


def _methods(app: Application, request: Request) -> str:
    """Every method that some route answers here on the request's path; "" is none.

    Those of the first one are not all, and those of another listener's side do not exist.
    """
    found: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            for method in route.methods or ():
                if sides.serves(request.scope, app.accesses[method, route.path].plane):
                    found.add(method)
    return ", ".join(sorted(found))
