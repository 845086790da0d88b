"""One request -> its answers, in pieces. Rule: whatever ends the request, nothing of it goes on generating."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.call import Usage
from gatemill.core.errors import ClientGone, InternalError
from gatemill.runner.engine import Work
from gatemill.runner.text import Text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gatemill.core.errors import GatemillError
    from gatemill.runner.asked import Asked
    from gatemill.runner.engine import News, Settings, Site


class Piece(Struct, frozen=True):
    """What is new of one choice."""

    index: int
    text: str
    finish: str | None = None  # "stop", "length"


class Generation:
    """All answers of one request. Used on the event loop; `close` when it is no longer wanted."""

    def __init__(self, site: Site, settings: Settings, asked: Asked) -> None:
        self._site = site
        self._settings = settings
        self._asked = asked
        self._pieces: asyncio.Queue[Piece | GatemillError] = asyncio.Queue()  # as many as tokens
        self._numbers: dict[int, int] = {}  # of answers under way, by choice
        self._texts: list[Text] = []
        self._open = 0  # choices that have not ended
        self._prompt_tokens = 0
        self._completion_tokens = 0

    @property
    def usage(self) -> Usage:
        """Tokens of every prompt once, and all tokens generated so far."""
        return Usage(input=self._prompt_tokens, output=self._completion_tokens)

    def begin(self, prompts: Sequence[tuple[int, ...]]) -> None:
        """Generation begins: the choices of the first prompt, then those of the second."""
        asked, model = self._asked, self._site.model
        self._prompt_tokens = sum(map(len, prompts))
        works = [
            Work(ids, self._output_max(len(ids)), asked.sampling)
            for ids in prompts
            for _ in range(asked.choices)
        ]
        self._open = len(works)
        self._texts = [Text(model.decode, asked.stops) for _ in works]
        for index, work in enumerate(works):
            self._submit(index, work)

    async def pieces(self) -> AsyncIterator[Piece]:
        """What comes, until every choice has ended. Raises InternalError and ClientGone."""
        while self._open or not self._pieces.empty():
            found = await self._pieces.get()
            if not isinstance(found, Piece):
                raise found
            yield found

    def drained(self) -> list[Piece]:
        """What has come meanwhile; it can be sent in the same write."""
        found: list[Piece] = []
        while not self._pieces.empty() and len(found) < 256:
            piece = self._pieces.get_nowait()
            if not isinstance(piece, Piece):
                self._pieces.put_nowait(piece)
                break
            found.append(piece)
        return found

    def leave(self) -> None:
        """The caller has gone: whoever reads the pieces hears of it."""
        self._pieces.put_nowait(ClientGone("The caller has closed the connection."))

    def close(self) -> None:
        """What is still under way is cancelled."""
        for number in self._numbers.values():
            self._site.engine.cancel(number)
        self._numbers.clear()

    def _submit(self, index: int, work: Work) -> None:
        def hear(news: News) -> None:
            self._hear(index, news)

        self._numbers[index] = self._site.engine.submit(work, hear)

    def _output_max(self, prompt_tokens: int) -> int:
        room = self._site.model.context_tokens - prompt_tokens
        most = self._settings.output_max or room
        return min(self._asked.output_max or self._settings.output_default, most, room)

    def _hear(self, index: int, news: News) -> None:
        if news.error:
            self._open = 0
            self._pieces.put_nowait(InternalError(f"The model failed: {news.error[:200]}"))
            return
        self._completion_tokens += news.counted
        text = self._texts[index]
        out = text.feed(news.ids)
        finish = news.finish
        if text.stopped:
            finish = "stop"
            number = self._numbers.pop(index, None)
            if number is not None:
                self._site.engine.cancel(number)
        elif finish:
            out += text.finish()
            self._numbers.pop(index, None)
        if finish:
            self._open -= 1
        if out or finish:
            self._pieces.put_nowait(Piece(index, out, finish or None))
