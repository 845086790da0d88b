"""The ports that a start would take: free, ours already, or another program's? Rule: binds for a moment, listens never."""

from __future__ import annotations

import errno
import socket
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import TYPE_CHECKING

from gatemill.core.finding import FAILURE, OK, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.settings import Settings

_PATIENCE_S = 1.0
_ALIVE = b'{"status":"ok"}'


def examined(settings: Settings) -> Iterator[Finding]:
    """Each port that is configured."""
    server = settings.server
    yield _examined(server.host, server.port, "server.port")
    if server.admin_port is not None:
        yield _examined(server.admin_host, server.admin_port, "server.admin_port")


def _examined(host: str, port: int, option: str) -> Finding:
    if port == 0:
        return Finding(OK, "port", f"{option} = 0 takes any free one")
    try:
        family, kind, _, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return _taken(host, port, option, error)
    return Finding(OK, "port", f"{port} on {host} is free")


def _taken(host: str, port: int, option: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if _is_ours(_reached(host), port):
            return Finding(OK, "port", f"{port} on {host}: a gateway is running there")
        text = f"{port} on {host} is taken by another program"
        return Finding(FAILURE, "port", text, f"{option} = {port + 1}, or stop the other program")
    if error.errno == errno.EACCES:
        text = f"{port} on {host} is for privileged programs"
        return Finding(FAILURE, "port", text, f"{option} above 1023")
    reason = error.strerror or str(error)
    text = f"{host} is no address of this machine: {reason}"
    return Finding(FAILURE, "port", text, "correct server.host")


def _reached(host: str) -> str:
    """An address at which this machine reaches what listens on `host`."""
    try:
        found = ip_address(host)
    except ValueError:
        return host
    if not found.is_unspecified:
        return host
    return "127.0.0.1" if found.version == 4 else "::1"


def _is_ours(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/livez")
        with connection.getresponse() as answer:
            return answer.status == 200 and answer.read(100) == _ALIVE
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
