"""`async with gatemill.open("gatemill.toml") as gm:` and what `gm` can do.

Rule: calls go through the pipeline of the server; the decorators are parts of it on their own.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from gatemill import house
from gatemill.core.call import Key
from gatemill.core.clock import SystemClock
from gatemill.core.errors import InvalidValue
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.library.answer import answer_of
from gatemill.library.functions import Functions
from gatemill.library.pieces import pieces_of
from gatemill.observe.lines import LineWriter
from gatemill.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from gatemill.core.call import Reply
    from gatemill.gateway.parts import Gateway
    from gatemill.library.answer import Answer

KEY = Key(id="library", name="in-process library")
_SECRET = b"in-process"
_RETAIN_S = 0.2  # between two flushes of the request log

Message = dict[str, Any]


class _OneKey:
    """Who calls: this program."""

    def identify(self, secret: bytes) -> Key | None:
        return KEY if secret == _SECRET else None


class Inside(Functions):
    """An open gateway. Made by `gatemill.open`."""

    def __init__(self, home: house.House, gateway: Gateway, secret: bytes) -> None:
        super().__init__(home)
        self._gateway = gateway
        self._secret = secret

    @property
    def models(self) -> list[str]:
        """The configured names."""
        return sorted(self._gateway.routes.exact)

    async def chat(self, model: str, messages: str | list[Message], **options: Any) -> Answer:
        """One chat completion. `messages` may be the user's text; `options` are OpenAI's parameters.

        `user_id`, `conversation_id`, `cache_control`, `idempotency_key` and `timeout_s` are ours, as
        the headers of the same names. Raises GatemillError.
        """
        caller, options = self._caller(options)
        said = {"model": model, "messages": _messages(messages), **options, "stream": False}
        return answer_of(await self._ask("chat", said, caller))

    async def stream(
        self, model: str, messages: str | list[Message], **options: Any
    ) -> AsyncIterator[str]:
        """The pieces of the answer's text as they come; leaving the loop hangs up.

        Raises GatemillError, also between two pieces.
        """
        caller, options = self._caller(options)
        said = {"model": model, "messages": _messages(messages), **options, "stream": True}
        reply = await self._ask("chat", said, caller)
        assert reply.stream is not None
        async for piece in pieces_of(reply.stream):
            yield piece

    async def embed(self, model: str, texts: str | list[str], **options: Any) -> Answer:
        """The vectors of texts. Raises GatemillError."""
        caller, options = self._caller(options)
        said = {"model": model, "input": texts, "encoding_format": "float", **options}
        return answer_of(await self._ask("embeddings", said, caller))

    async def gather(
        self,
        prompts: Iterable[str | list[Message]],
        *,
        model: str,
        max_concurrent: int,
        **options: Any,
    ) -> list[Answer | BaseException]:
        """An answer, or its failure, for each prompt in order; at most `max_concurrent` at a time.

        A failure stops nothing else. Cancelling stops all.
        """
        if max_concurrent < 1:
            raise InvalidValue("max_concurrent must be 1 or more.", param="max_concurrent")
        places = asyncio.Semaphore(max_concurrent)

        async def one(prompt: str | list[Message]) -> Answer:
            async with places:
                return await self.chat(model, prompt, **options)

        return await asyncio.gather(*map(one, prompts), return_exceptions=True)

    # --- Inside ----------------------------------------------------------------------------------

    def _caller(self, options: dict[str, Any]) -> tuple[Caller, dict[str, Any]]:
        caller = Caller(
            secret=self._secret,
            started_s=self._gateway.now(),
            user=options.pop("user_id", ""),
            conversation=options.pop("conversation_id", ""),
            cache_control=options.pop("cache_control", ""),
            idempotency_key=options.pop("idempotency_key", ""),
            timeout_s=options.pop("timeout_s", None),
        )
        return caller, options

    async def _ask(self, operation: str, said: Mapping[str, Any], caller: Caller) -> Reply:
        gateway = self._gateway
        call_id = gateway.new_id(gateway.clock.unix_s())
        return await answer(gateway, operation, msgspec.json.encode(said), caller, call_id)


def _messages(messages: str | list[Message]) -> list[Message]:
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
    Raises ConfigErrors, LedgerUnavailable and InvalidValue.
    """
    variables = os.environ if environ is None else environ
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    path = None if config is None else Path(config)
    loaded = await asyncio.to_thread(load, path, variables, flags, lister=None)
    clock = SystemClock()
    ledger = await asyncio.to_thread(house.open_ledger, loaded.settings, clock)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    writer = LineWriter(nowhere)
    try:
        home = house.build(loaded, ledger, clock, (writer, False))
        gateway = home.gateway if key else replace(home.gateway, keys=_OneKey())
        flushing = asyncio.ensure_future(_flush(home))
        try:
            yield Inside(home, gateway, key.encode() if key else _SECRET)
        finally:
            flushing.cancel()
            await home.close()
    finally:
        writer.close()
        os.close(nowhere)


async def _flush(home: house.House) -> None:
    while True:
        await asyncio.sleep(_RETAIN_S)
        home.access.flush()
