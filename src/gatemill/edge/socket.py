"""Chat over a WebSocket: one JSON request per message, chunks back.

Messages from the caller: a chat request (its `stream` is implied), {"type":"cancel"}, {"type":"ping"}.
Messages to the caller: chat completion chunks as they come, then {"type":"done"}; or
{"type":"error","error":{...}}, {"type":"cancelled"}, {"type":"pong"}.
Rule: one request at a time; the same stages and limits as over HTTP; closing cancels.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gatemill.core.errors import GatemillError, InvalidJson, InvalidValue
from gatemill.edge import failures
from gatemill.edge.arrival import bearer
from gatemill.edge.asgi import Buffer
from gatemill.gateway.identify import identify
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from gatemill.edge.door import Door
    from gatemill.gateway.parts import Gateway

IDLE_S_MAX = 600.0  # without a message from the caller, and no answer under way
LIFETIME_S_MAX = 6 * 3600.0
PROTOCOL = "gatemill"
_KEY_PROTOCOL = "gatemill-key."
_TRUE = msgspec.Raw(b"true")
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')
_encode = msgspec.json.Encoder().encode


async def chat(door: Door, socket: WebSocket) -> None:
    """One WebSocket, from its handshake to its close."""
    secret = _secret(socket)
    gateway = door.gateway
    try:
        identify(gateway.keys, secret, gateway.clock.unix_s())
    except GatemillError as error:
        await _deny(gateway, socket, error)
        return
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    session = Session(door, socket, secret)
    try:
        async with asyncio.timeout(LIFETIME_S_MAX):
            await session.run()
    except TimeoutError:
        await socket.close(1001, "This connection has been open too long. Connect again.")
    except WebSocketDisconnect:
        pass
    finally:
        session.stop()


def _secret(socket: WebSocket) -> bytes | None:
    headers = socket.headers
    if found := bearer(headers.get("authorization", "").encode("latin-1")):
        return found
    if found := headers.get("x-api-key", "").encode("latin-1"):
        return found
    # Browsers cannot set headers on a WebSocket; they can offer subprotocols.
    for offered in socket.scope.get("subprotocols", []):
        if offered.startswith(_KEY_PROTOCOL):
            return str(offered).removeprefix(_KEY_PROTOCOL).encode()
    return None


async def _deny(gateway: Gateway, socket: WebSocket, error: GatemillError) -> None:
    request_id = gateway.new_id(gateway.clock.unix_s())
    await socket.send_denial_response(
        Response(
            failures.body(error, "openai", request_id),
            error.status,
            {"x-request-id": request_id, "www-authenticate": 'Bearer realm="gatemill"'},
            "application/json",
        )
    )


class Session:
    """The state of one open WebSocket."""

    def __init__(self, door: Door, socket: WebSocket, secret: bytes | None) -> None:
        self._door = door
        self._socket = socket
        self._secret = secret
        self._work: asyncio.Task[None] | None = None  # the answer under way

    async def run(self) -> None:
        """Reads messages until the caller leaves."""
        while True:
            idle = self._work is None or self._work.done()
            try:
                async with asyncio.timeout(IDLE_S_MAX if idle else None):
                    message = await self._socket.receive()
            except TimeoutError:
                if self._work is not None and not self._work.done():
                    continue
                await self._socket.close(1001, "Nothing was sent for a while. Connect again.")
                return
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            await self._take((text.encode() if text is not None else message.get("bytes")) or b"")

    def stop(self) -> None:
        """The answer under way is cancelled."""
        if self._work is not None:
            self._work.cancel()

    async def _take(self, data: bytes) -> None:
        try:
            outer = fields.shallow(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            await self._fail(InvalidJson("A message is not a JSON object."), "")
            return
        kind = bytes(outer.get("type", b""))
        if kind == b'"ping"':
            await self._say({"type": "pong"})
        elif kind == b'"cancel"':
            await self._cancel()
        elif self._work is not None and not self._work.done():
            refusal = InvalidValue("An answer is under way. Wait for its end, or send a cancel.")
            await self._fail(refusal, "")
        else:
            outer.pop("type", None)
            outer["stream"] = _TRUE
            outer["stream_options"] = _WITH_USAGE
            self._work = asyncio.ensure_future(self._answer(fields.encode(outer)))

    async def _cancel(self) -> None:
        work, self._work = self._work, None
        if work is not None and not work.done():
            work.cancel()
            await asyncio.wait((work,))
        await self._say({"type": "cancelled"})

    async def _answer(self, body: bytes) -> None:
        gateway = self._door.gateway
        request_id = gateway.new_id(gateway.clock.unix_s())
        caller = Caller(secret=self._secret, started_s=gateway.now())
        try:
            reply = await failures.shielded(
                answer(gateway, "chat", body, caller, request_id), request_id
            )
        except GatemillError as error:
            await self._fail(error, request_id)
            return
        stream = reply.stream
        assert stream is not None
        buffer = Buffer(stream)
        stream.attach(buffer)
        try:
            while True:
                await buffer.wait()
                for _, event in sse.events(buffer.take()):
                    if event != b"[DONE]":
                        await self._socket.send_text(event.decode())
                if buffer.ended:
                    break
        finally:
            stream.abort()
        if buffer.error is not None:
            await self._fail(buffer.error, request_id)
        else:
            await self._say({"type": "done", "request_id": request_id})

    async def _fail(self, error: GatemillError, request_id: str) -> None:
        inner = msgspec.Raw(failures.body(error, "openai", request_id))
        await self._say({"type": "error", **fields.shallow(inner)})

    async def _say(self, message: dict[str, Any]) -> None:
        if self._socket.client_state is WebSocketState.CONNECTED:
            await self._socket.send_text(_encode(message).decode())
