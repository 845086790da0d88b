"""The runner as an ASGI application: chat completions, completions, health, figures.

Rule: a refusal is OpenAI's error object. The model is loaded when the server starts it, not before, so
that the application can be sent to another process first.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import (
    ClientGone,
    Draining,
    GatemillError,
    InvalidValue,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RequestTooLarge,
    UnsupportedParameter,
)
from gatemill.core.tasks import spawn
from gatemill.runner import asked as requests
from gatemill.runner import shapes
from gatemill.runner.engine import CannotLoad
from gatemill.runner.generating import Generation
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.runner.asked import Asked
    from gatemill.runner.engine import Settings, Site

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 32 << 20
RETRY_AFTER_S = 1.0
_POSTS = {"/v1/chat/completions": requests.chat, "/v1/completions": requests.completion}
_GETS = ("/health", "/stats", "/v1/models")


class App:
    """One model behind HTTP; give it to any ASGI server that runs the lifespan."""

    def __init__(self, settings: Settings, load: Callable[[Settings], Site] | None = None) -> None:
        self._settings = settings
        self._load = load  # None: with torch
        self._site: Site | None = None  # from lifespan.startup to lifespan.shutdown
        self._preparing: ThreadPoolExecutor | None = None  # one thread: tokenizers are not for two
        self._started_at = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """See the ASGI specification, version 3."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                await self._answer(scope, receive, send)
            except ClientGone:
                pass
            except GatemillError as error:
                await _refuse(error, send)

    @property
    def has_failed(self) -> bool:
        """The model was loaded, and cannot generate any more."""
        return self._site is not None and not self._site.engine.lives

    # --- The model --------------------------------------------------------------------------------

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._preparing = ThreadPoolExecutor(1, "prepare")
        load = self._load or _with_torch
        # The engine hears of this loop, so it is made on it; nothing else runs here meanwhile.
        try:
            self._site = load(self._settings)
        except CannotLoad as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self._started_at = int(time.time())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._site.engine.close()
        self._preparing.shutdown(wait=False)
        self._site = None
        await send({"type": "lifespan.shutdown.complete"})

    # --- Requests ---------------------------------------------------------------------------------

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path in _GETS:
            if method != "GET":
                raise MethodNotAllowed(f"Use GET for {path}.")
            await self._show(path, send)
            return
        read = _POSTS.get(path)
        if read is None:
            raise NotFound(f"There are {', '.join(_POSTS)} and {', '.join(_GETS)}.")
        if method != "POST":
            raise MethodNotAllowed(f"Use POST for {path}.")
        asked = read(await _body(receive))
        await self._generate(asked, receive, send)

    async def _show(self, path: str, send: Send) -> None:
        site = self._site
        if path == "/v1/models":
            await _respond(200, shapes.models(self._settings.name, self._started_at), send)
        elif site is None or not site.engine.lives:
            raise Draining("The model is not ready.")
        elif path == "/health":
            await _respond(200, b'{"status":"ok"}', send)
        else:
            await _respond(200, fields.encode(_figures(self._settings, site)), send)

    async def _generate(self, asked: Asked, receive: Receive, send: Send) -> None:
        site, preparing = self._site, self._preparing
        if site is None or preparing is None or not site.engine.lives:
            raise Draining("The model is not ready. Retry later.", retry_after_s=RETRY_AFTER_S)
        self._admit(asked, site)
        loop = asyncio.get_running_loop()
        prompts = await loop.run_in_executor(preparing, site.model.prompts, asked)
        self._admit(asked, site)  # others have come meanwhile
        generation = Generation(site, self._settings, asked)
        gone = spawn(_until_gone(receive), "until gone")
        gone.add_done_callback(lambda _task: generation.leave())
        try:
            generation.begin(prompts)
            prefix = "chatcmpl" if asked.chat else "cmpl"
            frame = shapes.Frame(
                id=f"{prefix}-{secrets.token_hex(12)}",
                created=int(time.time()),
                model=asked.model,
                is_chat=bool(asked.chat),
            )
            if asked.stream:
                await _stream(generation, frame, asked, send)
            else:
                await _complete(generation, frame, send)
        finally:
            generation.close()
            gone.cancel()

    def _admit(self, asked: Asked, site: Site) -> None:
        """Raises RateLimited when all places are taken, InvalidRequest for what is never possible."""
        if (
            asked.sampling.seed is not None
            and not site.engine.seeds
            and asked.sampling.temperature != 0
        ):
            raise UnsupportedParameter(
                "This model generates answers together, which have no `seed` of their own. Leave it"
                " out, send `temperature` 0, or start the model with batching off.",
                param="seed",
            )
        wanted = asked.choices * max(1, len(asked.prompts))
        most = self._settings.output_max
        if most and (asked.output_max or 0) > most:
            raise InvalidValue(f"This model generates at most {most} tokens.", param="max_tokens")
        places = self._settings.concurrency_max + self._settings.waiting_max
        if wanted > places:
            raise InvalidValue(f"This model gives at most {places} answers at once.", param="n")
        if site.engine.under_way + wanted > places:
            raise RateLimited(
                f"The model has {site.engine.under_way} answers to generate, and takes {places}."
                " Retry later.",
                retry_after_s=RETRY_AFTER_S,
            )


async def _complete(generation: Generation, frame: shapes.Frame, send: Send) -> None:
    texts: dict[int, list[str]] = {}
    ends: dict[int, str] = {}
    async for piece in generation.pieces():
        texts.setdefault(piece.index, []).append(piece.text)
        if piece.finish:
            ends[piece.index] = piece.finish
    choices = [("".join(texts[index]), ends[index]) for index in sorted(texts)]
    await _respond(200, frame.complete(choices, generation.usage), send)


async def _stream(generation: Generation, frame: shapes.Frame, asked: Asked, send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    nulls = asked.wants_usage
    opened: set[int] = set()
    try:
        async for first in generation.pieces():
            out = bytearray()
            for piece in (first, *generation.drained()):
                if piece.index not in opened:
                    opened.add(piece.index)
                    out += frame.opening(piece.index, nulls=nulls)
                if piece.text or not piece.finish:
                    out += frame.piece(piece.index, piece.text, None, nulls=nulls)
                if piece.finish:
                    out += frame.piece(piece.index, "", piece.finish, nulls=nulls)
            await _more(bytes(out), send)
        last = frame.usage(generation.usage) if asked.wants_usage else b""
        await _more(last + sse.DONE, send)
    except ClientGone:
        return
    except GatemillError as error:
        await _more(sse.event(shapes.failure(error)), send)
    await send({"type": "http.response.body", "body": b""})


async def _more(data: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _body(receive: Receive) -> bytes:
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The caller has closed the connection.")
        parts += message.get("body", b"")
        if len(parts) > BODY_BYTES_MAX:
            raise RequestTooLarge(f"A body may have {BODY_BYTES_MAX} bytes.")
        if not message.get("more_body"):
            return bytes(parts)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(error: GatemillError, send: Send) -> None:
    await _respond(error.status, shapes.failure(error), send, error.retry_after_s)


async def _respond(
    status: int, body: bytes, send: Send, retry_after_s: float | None = None
) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(retry_after_s))))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _figures(settings: Settings, site: Site) -> dict[str, Any]:
    engine = site.engine
    return {
        "model": settings.name,
        "engine": engine.KIND,
        "under_way": engine.under_way,
        "scheduled": engine.scheduled,
        "context_tokens": site.model.context_tokens,
        "cache_bytes": site.cache_bytes,
        "weights_bytes": site.weights_bytes,
        "memory_bytes": site.memory_bytes(),
    }


def _with_torch(settings: Settings) -> Site:
    # Imported here, where torch is needed: nothing above this line has ever heard of it.
    try:
        from gatemill.runner.model import load
    except ImportError as error:
        raise CannotLoad(f"{error.name} is missing: pip install 'gatemill[torch]'") from error
    return load(settings)
