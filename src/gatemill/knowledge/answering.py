"""An answer from passages, whole or as it comes.

Rule: nobody is asked where nothing was found; what was asked for is paid for or hung up on, whoever
leaves first.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import UpstreamBadReply
from gatemill.core.tasks import begin
from gatemill.gateway.blocks import blocks_of
from gatemill.knowledge import passages
from gatemill.wire import sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from gatemill.core.call import Reply
    from gatemill.knowledge.asking import Asking
    from gatemill.knowledge.retrieval import Passage

# A refusal of the caller comes at once, and is then the answer to the whole request; a provider is
# slower, and who reads a stream sees the passages meanwhile.
GRACE_S = 0.05
_TAIL = b": gatemill "  # of a stream: what it came to


class Question(Struct, frozen=True):
    """What is to be answered, and by whom."""

    text: str
    model: str
    context_tokens: int  # of all passages together
    prompt: str = ""  # of the registry, in place of our instructions
    variables: dict[str, Any] = {}  # of that prompt
    history: tuple[dict[str, str], ...] = ()  # messages before the question


class _Delta(Struct, frozen=True):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta = _Delta()


class _Chunk(Struct):
    choices: list[_Choice] = []


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None


class _Answered(Struct):
    message: _Message


class _Completion(Struct):
    choices: list[_Answered]


class _Tail(Struct):
    cost_microusd: int | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_completion = msgspec.json.Decoder(_Completion)
_tail = msgspec.json.Decoder(_Tail)


class Answering:
    """One answer. Used once, by `whole` or by `open` and `events`."""

    def __init__(self, asking: Asking, question: Question, found: Sequence[Passage]) -> None:
        self.given = passages.fitting(found, question.context_tokens)  # numbered from 1
        self.text = ""  # the answer so far
        self.generate_ms = 0.0
        self._asking = asking
        self._question = question
        self._task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None

    @property
    def model(self) -> str | None:
        """Who answers; None where nobody is asked."""
        return self._question.model if self.given else None

    @property
    def cited(self) -> list[int]:
        """The numbers of the passages that the answer cites."""
        return passages.cited(self.text, len(self.given)) if self.given else []

    async def whole(self) -> None:
        """`text` is the answer. Raises GatemillError."""
        if not self.given:
            self.text = passages.NOTHING
            return
        now, began_s = self._asking.now, self._asking.now()
        said = await self._asking.ask("chat", self._body(stream=False), "answer")
        self.generate_ms = (now() - began_s) * 1e3
        try:
            message = _completion.decode(said).choices[0].message
        except (msgspec.MsgspecError, IndexError) as error:
            raise UpstreamBadReply("The model answered without a message.") from error
        self.text = message.content or message.refusal or ""

    async def open(self) -> None:
        """The model has been asked. Raises what it, or admission, refuses at once; then `close` it."""
        if self.given:
            self._task = begin(self._ask(), asyncio.get_running_loop())
            await asyncio.wait([self._task], timeout=GRACE_S)
            if self._task.done():
                self._task.result()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Chat chunks, each a whole event, after `open`. Raises GatemillError, also between two."""
        if self._task is None:
            self.text = passages.NOTHING
            yield self._said_by_us()
            return
        began_s = self._asking.now()
        await self._task
        assert self._reply is not None, "the task has ended well"
        assert self._reply.stream is not None, "a stream was asked for"
        async with aclosing(blocks_of(self._reply.stream)) as blocks:
            async for block in blocks:
                for event in block.split(b"\n\n"):
                    if event and self._takes(event):
                        yield event + b"\n\n"
        self.generate_ms = (self._asking.now() - began_s) * 1e3

    async def close(self) -> None:
        """Nothing goes on any more; whoever leaves early has hung up."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it was told, or nobody is there any more
        if self._reply is not None and self._reply.stream is not None:
            self._reply.stream.abort()

    async def _ask(self) -> None:
        self._reply = await self._asking.reply("chat", self._body(stream=True), "answer")

    def _takes(self, event: bytes) -> bool:
        """The reader is to have this event, of which a note is made."""
        if event.startswith(_TAIL):
            self._count(_tail.decode(event[len(_TAIL) :]).cost_microusd)
            return False
        if event.startswith(b":") or event == sse.DONE.rstrip():
            return False
        for _, data in sse.events(event):
            self.text += _said(data)
        return True

    def _count(self, cost_microusd: int | None) -> None:
        assert self._reply is not None
        self._reply.cost_microusd = cost_microusd
        self._asking.add(self._reply)

    def _body(self, *, stream: bool) -> bytes:
        asked = self._question
        text = passages.question(self.given, asked.text)
        messages: list[dict[str, str]] = [*asked.history, {"role": "user", "content": text}]
        body: dict[str, Any] = {"model": asked.model}
        if asked.prompt:
            body |= {"prompt_id": asked.prompt, "prompt_variables": asked.variables}
        else:
            messages.insert(0, {"role": "system", "content": passages.INSTRUCTIONS})
        if stream:
            body["stream"] = True
        return msgspec.json.encode({**body, "messages": messages})

    def _said_by_us(self) -> bytes:
        delta = {"role": "assistant", "content": self.text}
        chunk = {
            "id": self._asking.request_id,
            "object": "chat.completion.chunk",
            "created": int(self._asking.unix_s()),
            "model": "gatemill",
            "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}],
        }
        return sse.event(msgspec.json.encode(chunk))


def _said(data: bytes) -> str:
    """What a chunk adds to the answer; "" for one that says nothing, or has another shape."""
    try:
        choices = _chunk.decode(data).choices
    except msgspec.MsgspecError:
        return ""
    return choices[0].delta.content or "" if choices else ""
