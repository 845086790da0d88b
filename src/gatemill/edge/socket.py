"""Chat over a WebSocket: one JSON request per message, chunks back.

Messages from the caller: a chat request (its `stream` is implied), {"type":"cancel"}, {"type":"ping"}.
Messages to the caller: chat completion chunks as they come, then {"type":"done"}; or
{"type":"error","error":{...}}, {"type":"cancelled"}, {"type":"pong"}.
Rule: one request at a time; the same stages and limits as over HTTP; closing cancels.
"""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gatemill.core.errors import GatemillError, InvalidJson, InvalidValue, PermissionDenied
from gatemill.core.tasks import spawn
from gatemill.edge import access, faults, hot
from gatemill.edge.asgi import Buffer, flowing
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.wire import failures, fields, sse

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.websockets import WebSocket

    from gatemill.edge.door import Door
    from gatemill.edge.shown import Shown
    from gatemill.gateway.parts import Gateway

IDLE_S_MAX = 600.0  # without a message from the caller, and no answer under way
LIFETIME_S_MAX = 6 * 3600.0
PROTOCOL = "gatemill"
_TRUE = msgspec.Raw(b"true")
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')
_encode = msgspec.json.Encoder().encode


async def chat(shown: Shown, socket: WebSocket) -> None:
    """One WebSocket, from its handshake to its close."""
    door = shown.door
    try:
        _check_origin(door, socket)
        await access.check(shown, socket, access.of("chat_stream"))
    except GatemillError as error:
        await _deny(door.gateway, socket, error)
        return
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    wish = socket.headers.get("x-gatemill-record", "").strip().lower()
    secret = access.secret_of(socket.scope)
    session = Session(door, socket, secret, is_recorded=wish != "no")
    door.sessions.add(session)
    try:
        async with asyncio.timeout(LIFETIME_S_MAX):
            await session.run()
    except TimeoutError:
        await socket.close(1001, "This connection has been open too long. Connect again.")
    except WebSocketDisconnect:
        pass
    finally:
        door.sessions.discard(session)
        session.stop()


def _check_origin(door: Door, socket: WebSocket) -> None:
    """Raises PermissionDenied for a page of another site: browsers ask nobody before a WebSocket."""
    origins = [origin.lower() for origin in socket.headers.getlist("origin")]
    own = socket.headers.get("host", "").lower()
    for origin in origins:
        if len(origins) > 1 or (origin.partition("://")[2] != own and origin not in door.origins):
            raise PermissionDenied(
                "Pages of this Origin may not open a WebSocket. Add it to server.allowed_origins."
            )


async def _deny(gateway: Gateway, socket: WebSocket, error: GatemillError) -> None:
    caller = Caller(secret=None, started_s=gateway.now())
    answer = hot.refused_unread(gateway, "chat", caller, error)
    lines = answer.headers.decode("latin-1").splitlines()
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    await socket.send_denial_response(Response(answer.body, answer.status, headers))


class Session:
    """The state of one open WebSocket."""

    def __init__(self, door: Door, socket: WebSocket, secret: bytes, *, is_recorded: bool) -> None:
        self._door = door
        self._socket = socket
        self._secret = secret
        self._is_recorded = is_recorded
        self._work: asyncio.Task[None] | None = None  # the answer under way
        self._drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if door.draining:
            self.drain()

    async def run(self) -> None:
        """Reads messages until the caller leaves, is idle for too long, or the server drains."""
        reading = asyncio.ensure_future(self._socket.receive())
        try:
            while True:
                # A drain only counts between answers.
                other = self._drained if self._work is None else self._work
                await asyncio.wait(
                    (reading, other), timeout=IDLE_S_MAX, return_when=FIRST_COMPLETED
                )
                was_idle = self._work is None
                if self._work is not None and self._work.done():
                    self._work = None
                if reading.done():
                    if not await self._hear(reading.result()):
                        return
                    reading = asyncio.ensure_future(self._socket.receive())
                elif self._drained.done() and self._work is None:
                    await self._socket.close(1012, "The server is shutting down. Connect again.")
                    return
                elif was_idle:
                    await self._socket.close(1001, "Nothing was sent for a while. Connect again.")
                    return
        finally:
            reading.cancel()

    def drain(self) -> None:
        """The connection ends after the answer under way."""
        if not self._drained.done():
            self._drained.set_result(None)

    def stop(self) -> None:
        """The answer under way is cancelled."""
        work, self._work = self._work, None  # it keeps what ended it, whose traceback holds this
        if work is not None:
            work.cancel()

    async def _hear(self, message: MutableMapping[str, Any]) -> bool:
        """Whether the caller is still there."""
        if message["type"] == "websocket.disconnect":
            return False
        text = message.get("text")
        await self._take((text.encode() if text is not None else message.get("bytes")) or b"")
        return True

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
            self._work = spawn(self._answer(fields.encode(outer)), "websocket-answer")

    async def _cancel(self) -> None:
        work, self._work = self._work, None
        if work is not None and not work.done():
            work.cancel()
            await asyncio.wait((work,))
        await self._say({"type": "cancelled"})

    async def _answer(self, body: bytes) -> None:
        gateway = self._door.gateway
        request_id = gateway.new_id(gateway.clock.unix_s())
        caller = Caller(self._secret, gateway.now(), is_recorded=self._is_recorded)
        try:
            reply = await faults.shielded(
                answer(gateway, "chat", body, caller, request_id), request_id
            )
            stream = reply.stream
            assert stream is not None
            with flowing(self._door, stream) as buffer:
                await self._pass_on(buffer)
            if buffer.error is not None:
                raise buffer.error
            await self._say({"type": "done", "request_id": request_id})
        except GatemillError as error:
            await self._fail(error, request_id)
        except WebSocketDisconnect:
            pass  # run() hears of it, too

    async def _pass_on(self, buffer: Buffer) -> None:
        more = True
        while more:
            await buffer.wait()
            more = not buffer.ended
            for _, event in sse.events(buffer.take()):
                if event != b"[DONE]":
                    await self._socket.send_text(event.decode("utf-8", "replace"))

    async def _fail(self, error: GatemillError, request_id: str) -> None:
        inner = msgspec.Raw(failures.body(error, "openai", request_id))
        await self._say({"type": "error", **fields.shallow(inner)})

    async def _say(self, message: dict[str, Any]) -> None:
        if self._socket.client_state is WebSocketState.CONNECTED:
            await self._socket.send_text(_encode(message).decode())
