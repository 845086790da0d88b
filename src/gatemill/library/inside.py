"""`async with gatemill.open("gatemill.toml") as gm:` and what `gm` can do.

Rule: calls go through the pipeline of the server; the decorators are parts of it on their own.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from gatemill import house
from gatemill.core.call import Key
from gatemill.core.clock import SystemClock
from gatemill.core.errors import GatemillError, InvalidType
from gatemill.core.gathering import gathered
from gatemill.core.tasks import spawn
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.library import arguments
from gatemill.library.answer import answer_of
from gatemill.library.functions import Functions
from gatemill.library.pieces import pieces_of
from gatemill.observe.access import FLUSH_S
from gatemill.observe.lines import LineWriter
from gatemill.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping

    from gatemill.core.call import Reply
    from gatemill.core.clock import Clock
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger
    from gatemill.library.answer import Answer
    from gatemill.settings import Settings

KEY = Key(id="library", name="in-process library")
_SECRET = b"in-process"
_RETAIN_S = 3600.0  # between two looks for usage rows that are too old

Message = dict[str, Any]
Prompt = str | list[Message]


class _OneKey:
    """Who calls: this program."""

    def identify(self, secret: bytes) -> Key | None:
        return KEY if secret == _SECRET else None


class Inside(Functions):
    """An open gateway. Made by `gatemill.open`; belongs to the event loop in which it was opened."""

    def __init__(self, home: house.House, gateway: Gateway, secret: bytes) -> None:
        super().__init__(home)
        self._gateway = gateway
        self._secret = secret

    @property
    def models(self) -> list[str]:
        """The configured names."""
        return sorted(self._gateway.routes.exact)

    async def chat(self, model: str, messages: Prompt, **options: Any) -> Answer:
        """One chat completion. `messages` may be the user's text; `options` are OpenAI's parameters.

        `user_id`, `conversation_id`, `cache_control`, `idempotency_key` and `timeout_s` are ours, as
        the headers of the same names. Raises GatemillError.
        """
        caller = self._caller(options)
        said = {"model": model, "messages": _messages(messages), **options, "stream": False}
        return answer_of(await self._ask("chat", said, caller))

    async def stream(
        self, model: str, messages: Prompt, **options: Any
    ) -> AsyncGenerator[str, None]:
        """The pieces of the answer's text as they come; leaving the loop hangs up.

        `options` as for `chat`. Raises GatemillError, also between two pieces.
        """
        caller = self._caller(options)
        said = {"model": model, "messages": _messages(messages), **options, "stream": True}
        reply = await self._ask("chat", said, caller)
        assert reply.stream is not None
        async with aclosing(pieces_of(reply.stream)) as pieces:
            async for piece in pieces:
                yield piece

    async def embed(self, model: str, texts: str | list[str], **options: Any) -> Answer:
        """The vectors of texts; `options` as for `chat`. Raises GatemillError."""
        caller = self._caller(options)
        said = {"model": model, "input": texts, "encoding_format": "float", **options}
        return answer_of(await self._ask("embeddings", said, caller))

    async def predict(self, model: str, texts: str | list[str], **options: Any) -> Answer:
        """The labels of texts; `options` are `top_k` and such, and as for `chat`. Raises GatemillError."""
        caller = self._caller(options)
        return answer_of(
            await self._ask("predict", {"model": model, "input": texts, **options}, caller)
        )

    async def rerank(self, model: str, query: str, documents: list[str], **options: Any) -> Answer:
        """The documents that fit best; `options` are `top_n` and such, and as for `chat`.

        Raises GatemillError.
        """
        caller = self._caller(options)
        said = {"model": model, "query": query, "documents": documents, **options}
        return answer_of(await self._ask("rerank", said, caller))

    async def gather(
        self,
        prompts: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        model: str,
        max_concurrent: int,
        **options: Any,
    ) -> list[Answer | GatemillError]:
        """An answer, or its failure, for each prompt in order; at most `max_concurrent` at a time.

        Prompts are taken as they are needed. A failure stops nothing else; cancelling stops all.
        `options` as for `chat`. Raises InvalidType, InvalidValue and what `prompts` raises.
        """
        arguments.counts(max_concurrent=max_concurrent)

        async def ask(prompt: Prompt) -> Answer:
            return await self.chat(model, prompt, **options)

        return await gathered(ask, prompts, max_concurrent)

    # --- Inside ----------------------------------------------------------------------------------

    def _caller(self, options: dict[str, Any]) -> Caller:
        """Who calls; what is ours is taken out of the options."""
        return Caller(
            secret=self._secret,
            started_s=self._gateway.now(),
            user=options.pop("user_id", ""),
            conversation=options.pop("conversation_id", ""),
            cache_control=options.pop("cache_control", ""),
            idempotency_key=options.pop("idempotency_key", ""),
            timeout_s=options.pop("timeout_s", None),
        )

    async def _ask(self, operation: str, said: Mapping[str, Any], caller: Caller) -> Reply:
        gateway = self._gateway
        try:
            body = msgspec.json.encode(said)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidType(f"The request is no JSON: {error}") from error
        call_id = gateway.new_id(gateway.clock.unix_s())
        return await answer(gateway, operation, body, caller, call_id)


def _messages(messages: Prompt) -> list[Message]:
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


@asynccontextmanager
async def open_house(
    config: str | Path | None = None,
    *,
    key: str | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Inside]:
    """An open gateway with the settings of a file, the environment and `settings`.

    `settings` are paths with two underscores: `server__data_dir="data"`. With `key`, a caller's
    secret, its limits and budgets hold; without, the program itself calls, under the id "library".
    Raises ConfigErrors, LedgerUnavailable, InvalidValue and OSError.
    """
    variables = os.environ if environ is None else environ
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    path = None if config is None else Path(config)
    loaded = await asyncio.to_thread(load, path, variables, flags, lister=None)
    clock = SystemClock()
    ledger = await _ledger_of(loaded.settings, clock)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    writer = LineWriter(nowhere)  # the program's output is its own
    home: house.House | None = None
    try:
        home = house.build(loaded, ledger, clock, (writer, False))
        await home.open()
        gateway = home.gateway if key else replace(home.gateway, keys=_OneKey())
        async with _running(home):
            yield Inside(home, gateway, key.encode() if key else _SECRET)
    finally:
        await (ledger if home is None else home).close()
        writer.close()
        os.close(nowhere)


async def _ledger_of(settings: Settings, clock: Clock) -> Ledger:
    """The ledger, opened in a thread, which cannot be called off: then it is closed again."""
    opening = asyncio.ensure_future(asyncio.to_thread(house.open_ledger, settings, clock))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if opening.exception() is None:
            await opening.result().close()
        raise


@asynccontextmanager
async def _running(home: house.House) -> AsyncIterator[None]:
    """What the server does now and then is done."""
    timers = [spawn(_flush(home), "flush-access-log"), spawn(_retain(home), "retention")]
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)


async def _flush(home: house.House) -> None:
    while True:
        home.access.flush()
        await asyncio.sleep(FLUSH_S)


async def _retain(home: house.House) -> None:
    while True:
        await home.ledger.retain(home.settings.stores.usage_retention_days)
        await asyncio.sleep(_RETAIN_S)
