"""A runner's application with an engine that a test plays, asked without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import ContextLengthExceeded
from gatemill.runner.app import App
from gatemill.runner.engine import News, Settings, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.runner.engine import Work

PATIENCE_S = 60.0


class Letters:
    """A model whose tokens are characters."""

    context_tokens = 64

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))

    def prompts(self, asked: Any) -> list[tuple[int, ...]]:
        said = [one["content"] for one in asked.chat] or list(asked.prompts)
        if any(len(one) > self.context_tokens for one in said):
            raise ContextLengthExceeded("too long", param="prompt")
        return [tuple(map(ord, one)) for one in said]


class Played:
    """Satisfies engine.Engine; a test says what comes."""

    KIND = "played"

    def __init__(self) -> None:
        self.lives = True
        self.seeds = False
        self.works: dict[int, Work] = {}  # under way
        self.ears: dict[int, Callable[[News], None]] = {}
        self.cancelled: list[int] = []
        self.closed = False
        self.answers: list[tuple[str, str]] = []  # what is told at once, by order of submission
        self.submitted = asyncio.Event()

    @property
    def under_way(self) -> int:
        return len(self.works)

    @property
    def scheduled(self) -> int:
        return len(self.works)

    def submit(self, work: Work, hear: Callable[[News], None]) -> int:
        number = len(self.ears) + 1
        self.works[number], self.ears[number] = work, hear
        self.submitted.set()
        if self.answers:
            said, finish = self.answers.pop(0)
            asyncio.get_running_loop().call_soon(self.tell, number, said, finish)
        return number

    def cancel(self, number: int) -> None:
        if self.works.pop(number, None):
            self.cancelled.append(number)

    def close(self) -> None:
        self.closed = True

    def tell(self, number: int, said: str = "", finish: str = "", error: str = "") -> None:
        if finish or error:
            del self.works[number]
        ended = finish == "stop"  # by a token that is counted and not shown
        self.ears[number](News(tuple(map(ord, said)), len(said) + ended, finish, error))


class Exchange:
    """One request; what the application has sent so far."""

    def __init__(self, app: App, method: str, path: str, body: bytes) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.over = False
        self._news = asyncio.Event()
        self._left = asyncio.Event()
        self._body = [body[: len(body) // 2], body[len(body) // 2 :]]
        scope = {"type": "http", "method": method, "path": path}
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def events(self) -> list[Any]:
        """The decoded events, without the end mark."""
        found = [one.removeprefix(b"data: ") for one in self.body.split(b"\n\n") if one]
        return [msgspec.json.decode(one) for one in found if one != b"[DONE]"]

    async def answered(self) -> Exchange:
        async with asyncio.timeout(PATIENCE_S):
            await self.task
        return self

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self._news.clear()
                await self._news.wait()

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            part = self._body.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._body)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        assert not self.over
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self.body += message["body"]
            self.over = not message.get("more_body")
        self._news.set()


class Served:
    """A started application."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Played()
        self.site = Site(Letters(), self.engine, 7, 11, lambda: 13)
        self.app = App(Settings("folder", **settings), lambda _settings: self.site)
        self._stop = asyncio.Event()
        self.said: list[dict[str, Any]] = []
        self._started = asyncio.Event()
        self._task: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Served:
        self._task = asyncio.ensure_future(
            self.app({"type": "lifespan"}, self._receive, self._send)
        )
        await self._started.wait()
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self._stop.set()
        assert self._task is not None
        await self._task

    def post(self, path: str, **fields: Any) -> Exchange:
        return Exchange(self.app, "POST", path, msgspec.json.encode({"model": "m", **fields}))

    def get(self, path: str, method: str = "GET") -> Exchange:
        return Exchange(self.app, method, path, b"")

    def chat(self, said: str = "hi", **fields: Any) -> Exchange:
        messages = [{"role": "user", "content": said}]
        return self.post("/v1/chat/completions", messages=messages, **fields)

    async def _receive(self) -> dict[str, Any]:
        if not self._started.is_set():
            return {"type": "lifespan.startup"}
        await self._stop.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.said.append(message)
        self._started.set()
