"""All routes: FastAPI for everything but the way of a hot request.

Rule: every route says who may call it; a failure leaves in the format of its path.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import Request, WebSocket
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from gatemill.core.errors import (
    GatemillError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
)
from gatemill.core.version import VERSION
from gatemill.edge import (
    admin,
    batches,
    config_routes,
    describe,
    experiments,
    failures,
    features,
    files,
    hot,
    jobs,
    knowledge,
    models,
    recordings,
    registry,
    serving,
    socket,
    webhooks,
)
from gatemill.edge.application import Application
from gatemill.edge.arrival import bearer
from gatemill.edge.asgi import HotResponse
from gatemill.gateway.identify import identify
from gatemill.observe import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

    from gatemill.core.call import Key
    from gatemill.edge.shown import Shown

_encode = msgspec.json.Encoder().encode


def build(shown: Shown, *, with_docs: bool) -> FastAPI:
    """The application. Failures, hot routes, models, health, metrics, documentation."""
    app = Application("Gatemill", VERSION, describe.INTRODUCTION)
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
    if with_docs:
        _add_docs(app)

    @app.websocket("/v1/chat/stream")
    async def chat_stream(websocket: WebSocket) -> None:
        await socket.chat(shown.door, websocket)

    return app


def caller_key(shown: Shown, request: Request) -> Key:
    """The key of a request to a control route. Raises InvalidApiKey."""
    headers = request.headers
    secret = bearer(headers.get("authorization", "").encode("latin-1"))
    gateway = shown.door.gateway
    return identify(
        gateway.keys,
        secret or headers.get("x-api-key", "").encode("latin-1"),
        gateway.clock.unix_s(),
    )


def json_response(value: Any, request_id: str = "", status: int = 200) -> Response:
    """A JSON answer."""
    headers = {"x-request-id": request_id} if request_id else None
    return Response(_encode(value), status, headers, "application/json")


def _add_hot(app: FastAPI, shown: Shown) -> None:
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
            app.add_api_route(path, handler(operation), methods=["POST"], include_in_schema=False)


def _add_models(app: FastAPI, shown: Shown) -> None:
    def is_anthropic(request: Request) -> bool:
        return "anthropic-version" in request.headers

    async def list_models(request: Request) -> Response:
        key = caller_key(shown, request)
        routes = shown.door.gateway.routes
        anthropic = is_anthropic(request)
        return json_response(models.listing(routes, key, anthropic=anthropic), _new_id(shown))

    async def get_model(request: Request, model: str) -> Response:
        key = caller_key(shown, request)
        routes = shown.door.gateway.routes
        anthropic = is_anthropic(request)
        known = registry.known(shown, key, model)
        said = models.one(routes, key, model, known, anthropic=anthropic)
        return json_response(said, _new_id(shown))

    for prefix in ("/v1", ""):
        for path, handler, name in (
            ("/models", list_models, "models"),
            ("/models/{model:path}", get_model, "model"),
        ):
            app.add_api_route(
                prefix + path,
                handler,
                methods=["GET"],
                include_in_schema=bool(prefix),
                **describe.route(name),
            )


def _add_health(app: FastAPI, shown: Shown) -> None:
    async def live() -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request) -> Response:
        checks = {
            "ledger": "ok" if shown.healthy() else "failing",
            "accepting": "draining" if shown.door.draining else "ok",
        }
        good = all(value == "ok" for value in checks.values())
        answer: dict[str, Any] = {"status": "ok" if good else "unavailable"}
        if "verbose" in request.query_params:
            answer["checks"] = checks
        return json_response(answer, status=200 if good else 503)

    async def measure(request: Request) -> Response:
        if not shown.open_metrics and not caller_key(shown, request).admin:
            raise PermissionDenied("Metrics need an admin key on a public address.")
        gateway = shown.door.gateway
        await gateway.meter.refresh()
        page = metrics.page(gateway.meter, VERSION, gateway.version)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_api_route("/livez", live, methods=["GET"], **describe.route("livez"))
    app.add_api_route("/readyz", ready, methods=["GET"], **describe.route("readyz"))
    for path in ("/health", "/healthz"):
        app.add_api_route(path, ready, methods=["GET"], include_in_schema=False)
    app.add_api_route("/metrics", measure, methods=["GET"], **describe.route("metrics"))


def _add_docs(app: FastAPI) -> None:
    @cache
    def describing() -> Any:
        return import_module("gatemill.edge.describe.document")

    @cache
    def document() -> dict[str, Any]:
        found: dict[str, Any] = describing().complete(app.openapi())
        return found

    @cache
    def page() -> str:
        return str(describing().page(document()))

    async def openapi() -> Response:
        return json_response(document())

    async def docs() -> Response:
        policy = {"content-security-policy": describing().POLICY}
        return HTMLResponse(page(), headers=policy)

    app.add_api_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)
    app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False)


def _new_id(shown: Shown) -> str:
    gateway = shown.door.gateway
    return gateway.new_id(gateway.clock.unix_s())


def _add_failures(app: FastAPI, shown: Shown) -> None:
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
        kept = dict(error.headers or {})
        if error.status_code == 405:
            allowed = kept.get("Allow", kept.get("allow", "another method"))
            return answer(request, MethodNotAllowed(f"Use {allowed} on this path."), kept)
        return answer(request, NotFound("There is no such path. GET /docs lists all."), kept)

    async def unexpected(request: Request, error: Exception) -> Response:
        return answer(request, InternalError("This is our fault, not yours. See the log."), {})

    app.add_exception_handler(GatemillError, ours)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(Exception, unexpected)
