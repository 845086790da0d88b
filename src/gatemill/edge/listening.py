"""Where connections come in, and what is behind the door there.

Rule: one door for all listeners: they share its limits and its end. What a listener answers is its
side; without an admin port there is one listener, which answers everything.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gatemill.edge.door import FORM_BYTES_MAX, Door, Limits
from gatemill.edge.front import Front
from gatemill.edge.sides import ADMIN, BOTH, PUBLIC, Side, Sided
from gatemill.edge.signin.desk import SignIn, Terms
from gatemill.ledger.sessions import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp

    from gatemill.edge.application import Application
    from gatemill.edge.workers import Seat
    from gatemill.house import House
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.model import Settings
    from gatemill.settings.server import Server

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1", "[::1]"))
_FAULTS_OF_CALLERS = (
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
    "Invalid UTF-8 sequence received from client.",
)
BACKLOG = 2048  # connections that wait to be accepted


def is_home(host: str) -> bool:
    """Whether nobody but this machine reaches what listens on `host`."""
    return host in LOOPBACK


def admin_host(server: Server) -> str:
    """The address at which administration is answered."""
    return server.host if server.admin_port is None else server.admin_host


def hosts_of(server: Server) -> Sequence[str]:
    """All addresses that are listened on."""
    return (server.host,) if server.admin_port is None else (server.host, server.admin_host)


def make_door(home: House, settings: Settings, app: Application) -> Door:
    """The door of these settings, with uvicorn behind it for all that is not inference."""
    door = Door(home.gateway, _limits(settings), _sides(settings, app), _origins(settings))
    door.desk = home.jobs.desk
    _count(door)
    door.signin = SignIn(lambda: door.gateway, _terms(settings, home.ledger))
    return door


def _count(door: Door) -> None:
    """What the door does to peers is in the metrics."""
    meter = door.gateway.meter
    meter.gauges["gatemill_connections_open"] = (
        "Connections of clients that are open.",
        lambda: len(door.connections),
    )
    meter.gauges["gatemill_ui_listeners"] = (
        "Open pages of the dashboard that follow live numbers.",
        lambda: door.onlookers,
    )
    meter.counters["gatemill_connections_refused"] = (
        "Connections refused because limits.connections were open.",
        lambda: door.refused,
    )
    meter.counters["gatemill_connections_cut"] = (
        "Connections closed because the peer sent or read too slowly.",
        lambda: door.cut,
    )


def adopted(door: Door, app: Application, settings: Settings) -> None:
    """Other settings hold for what comes through the door from now on."""
    # First: it may raise ExtraNotInstalled, and then the old settings hold.
    door.signin.terms = _terms(settings, door.signin.ledger)
    door.limits = _limits(settings)
    door.origins = _origins(settings)
    # Whether there is an admin port is decided at the start, as is where it listens.
    door.sides = {name: side for name, side in _sides(settings, app).items() if name in door.sides}


async def open_all(door: Door, server: Server, seat: Seat | None) -> list[asyncio.Server]:
    """Every listener; the one that answers administration is the last."""
    if seat is not None:
        loop = asyncio.get_running_loop()
        first = BOTH if not seat.admin else PUBLIC
        return [
            await loop.create_server(
                _front(door, loop, ADMIN if one in seat.admin else first),
                sock=one,
                backlog=BACKLOG,
            )
            for one in seat.sockets
        ]
    if server.admin_port is None:
        return [await listen(door, server.host, server.port)]
    public = await listen(door, server.host, server.port, PUBLIC)
    try:
        return [public, await listen(door, server.admin_host, server.admin_port, ADMIN)]
    except OSError:
        public.close()
        raise


async def listen(door: Door, host: str, port: int, side: str = BOTH) -> asyncio.Server:
    """A listener whose connections begin at the front protocol."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(_front(door, loop, side), host, port, backlog=BACKLOG)


def url(listener: asyncio.Server) -> str:
    """Where it listens."""
    host, port = listener.sockets[0].getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _front(door: Door, loop: asyncio.AbstractEventLoop, side: str) -> Callable[[], Front]:
    return lambda: Front(door, loop, side)


def _sides(settings: Settings, app: Application) -> dict[str, Side]:
    server = settings.server
    named = frozenset(name.lower() for name in server.allowed_hosts)

    def side(host: str, shown: ASGIApp, *, is_hot: bool) -> Side:
        # The names of this machine always: health checks use them, and no page elsewhere has one.
        hosts = LOOPBACK | named if named or is_home(host) else None
        return Side(hosts, _guests(settings, shown), is_hot)

    return {
        BOTH: side(server.host, app, is_hot=True),
        PUBLIC: side(server.host, Sided(app, PUBLIC), is_hot=True),
        ADMIN: side(server.admin_host, Sided(app, ADMIN), is_hot=False),
    }


def _guests(settings: Settings, app: ASGIApp) -> Callable[[], HttpToolsProtocol]:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=cast("Any", _websocket),
        ws_max_size=settings.limits.websocket_message_bytes,
        ws_per_message_deflate=False,  # a small frame must not become a large message
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(settings.limits.keep_alive_s),
    )
    config.load()
    logging.getLogger("uvicorn.error").addFilter(_is_ours)
    state = ServerState()
    return lambda: HttpToolsProtocol(config, state, {})


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what a caller does wrong: whoever is refused must not fill the log."""
    return record.msg not in _FAULTS_OF_CALLERS


def _origins(settings: Settings) -> frozenset[str]:
    return frozenset(settings.server.allowed_origins)


def _terms(settings: Settings, ledger: Ledger) -> Terms:
    auth = settings.auth
    provider = None
    if auth.oidc is not None:
        said, secret = auth.oidc, auth.oidc.client_secret
        room = import_module("gatemill.edge.signin.oidc")  # few have one
        client = room.Client(
            issuer=said.issuer,
            id=said.client_id,
            secret=secret.get_secret_value() if secret is not None else "",
            return_url=f"{auth.public_url}/ui/login/return",
            scopes=said.scopes,
        )
        rights = room.Rights(said.groups_claim, said.admins, said.readers)
        provider = room.Provider(client, rights, ledger.sessions.derived, time.monotonic)
    patience = Patience(auth.idle_s, auth.lifetime_s)
    return Terms(auth.public_url or "", patience, provider)


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        body_bytes=limits.body_bytes,
        upload_bytes=settings.files.bytes_max + FORM_BYTES_MAX,
        header_bytes=limits.header_bytes,
        header_count=limits.header_count,
        header_timeout_s=limits.header_timeout_s,
        body_idle_s=limits.body_idle_s,
        body_bytes_per_s=limits.body_bytes_per_s,
        write_stall_s=limits.write_stall_s,
        keep_alive_s=limits.keep_alive_s,
        connections=limits.connections,
    )


def _websocket(**parts: Any) -> asyncio.Protocol:
    """Uvicorn's WebSocket protocol, loaded when the first one is opened: most servers never do."""
    room = import_module("uvicorn.protocols.websockets.websockets_sansio_impl")
    protocol: asyncio.Protocol = room.WebSocketsSansIOProtocol(**parts)
    return protocol
