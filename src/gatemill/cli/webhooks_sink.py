"""A server that receives notifications and prints them. Rule: for trying things out, on this machine."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
import uvicorn

from gatemill.cli.failure import Failure
from gatemill.cli.terminal import note, paint, print_text
from gatemill.core.clock import SystemClock
from gatemill.core.errors import InvalidValue
from gatemill.wire import webhook
from gatemill.wire.moments import iso

BODY_BYTES_MAX = 1 << 20
SEEN_MAX = 10_000  # ids that are remembered, to tell what came before


class Sink:
    """An ASGI application."""

    def __init__(self, keys: Sequence[bytes], status: int, *, as_json: bool) -> None:
        self._keys = keys
        self._status = status
        self._as_json = as_json
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Takes one notification; what is not signed is answered 401."""
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        body, more = b"", True
        while more and len(body) <= BODY_BYTES_MAX:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status = self._take(headers, body)
        start = {"type": "http.response.start", "status": status, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        now_s = SystemClock().unix_s()
        signed = any(webhook.is_signed(key, headers, body, now_s) for key in self._keys)
        message_id = headers.get("webhook-id", "-")
        again = message_id in self._seen
        self._seen[message_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        status = self._status if signed or not self._keys else 401
        if self._as_json:
            print_text(body.decode(errors="replace"))
        else:
            words = "signed" if signed else ("NOT SIGNED" if self._keys else "not checked")
            line = [iso(now_s), _about(body), message_id, words, *(["again"] if again else [])]
            style = "31" if self._keys and not signed else "32"
            print_text(f"{'  '.join(line)}  {paint(str(status), style, sys.stdout)}")
        sys.stdout.flush()
        return status


def serve(place: tuple[str, int], secrets: Sequence[str], status: int, *, as_json: bool) -> None:
    """Runs until it is interrupted. Raises Failure."""
    try:
        keys = [webhook.key_of(secret) for secret in secrets]
    except InvalidValue as error:
        raise Failure(error.message, fix="gatemill webhooks secret", code=2) from error
    listener = _bound(*place)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    note(f"Listening on http://{shown}:{port}/ (Ctrl+C ends it)")
    note('The gateway calls it only with webhooks.private_addresses = ["127.0.0.0/8"].')
    config = uvicorn.Config(
        Sink(keys, status, as_json=as_json), log_level="error", lifespan="off", ws="none"
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Failure(f"port {port} is in use", fix=f"--port {port + 1}") from error
        raise Failure(f"cannot listen on {host}:{port}", fix="--host 127.0.0.1") from error


def _about(body: bytes) -> str:
    try:
        said = msgspec.json.decode(body)
        return f"{said['type']}  {said['data']['id'] or '-'}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return "no event  -"
