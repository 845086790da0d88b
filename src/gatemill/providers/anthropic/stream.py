"""Anthropic's events as chat completion chunks.

Rule: one id and one time for all chunks; a tool call keeps its index however blocks interleave.
Thinking comes twice: its text in pieces (reasoning_content), and the signed block in one piece when
it is complete (thinking_blocks), because a signature is worth nothing without the whole text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import UpstreamBadReply
from gatemill.providers.anthropic.reply import (
    Block,
    StopDetails,
    chat_id,
    finish_reason,
    thinking_block,
)
from gatemill.wire import fields
from gatemill.wire.messages.failures import error_said, failure_of
from gatemill.wire.messages.words import Counts, merged, usage_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Usage
    from gatemill.core.ports import Json


class _Start(Struct):
    id: str = ""
    model: str = ""
    usage: Counts | None = None


class _Delta(Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class _Event(Struct):
    type: str = ""
    index: int = 0
    message: _Start | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: Counts | None = None


_decode = msgspec.json.Decoder(_Event, strict=False).decode


class _Open(Struct):
    """A content block under way. Written and read by Reader alone."""

    block: Block
    call: int = -1  # index of the tool call
    pieces: list[str] = []  # text of thinking
    argued: bool = False  # some arguments were sent


class Reader:
    """One stream; satisfies ports.ChunkReader."""

    __slots__ = ("_calls", "_chunk", "_counts", "_ended", "_open", "finished", "is_over", "usage")

    def __init__(self, created: int) -> None:
        self.usage: Usage | None = None
        self.finished = self.is_over = False
        self._chunk: Json = {
            "id": chat_id(""),
            "object": "chat.completion.chunk",
            "created": created,
            "model": "",
        }
        self._counts: Counts | None = None
        self._open: dict[int, _Open] = {}  # by Anthropic's block index
        self._calls = 0  # tool calls so far
        self._ended = False  # the finish_reason was sent

    def read(self, event: str, data: bytes) -> Sequence[Json]:
        """Chunks for one event. Raises UpstreamBadReply, or what an error event means."""
        if event == "error":
            raise _failure(data)
        try:
            read = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamBadReply("The provider's stream holds a malformed event.") from None
        kind = read.type or event
        if kind == "error":
            raise _failure(data)
        return self._chunks(kind, read)

    def _chunks(self, kind: str, read: _Event) -> Sequence[Json]:
        if kind.startswith("content_block_"):
            return self._of_block(kind, read)
        if kind == "message_start" and read.message:
            return self._message_start(read.message)
        if kind == "message_delta":
            return self._message_delta(read)
        if kind == "message_stop":
            self.finished = self.is_over = True
            return () if self._ended else self._end("stop")
        return ()  # ping, and kinds that do not exist yet

    def _of_block(self, kind: str, read: _Event) -> Sequence[Json]:
        if kind == "content_block_delta" and read.delta:
            return self._delta(read.index, read.delta)
        if kind == "content_block_start" and read.content_block:
            return self._block_start(read.index, read.content_block)
        if kind == "content_block_stop":
            return self._block_stop(read.index)
        return ()

    def _message_start(self, message: _Start) -> Sequence[Json]:
        self._chunk |= {"id": chat_id(message.id), "model": message.model}
        self._count(message.usage)
        return self._say({"role": "assistant", "content": ""})

    def _block_start(self, index: int, block: Block) -> Sequence[Json]:
        opened = self._open[index] = _Open(block)
        if block.type == "text" and block.text:
            return self._say({"content": block.text})
        if block.type == "thinking" and block.thinking:
            opened.pieces.append(block.thinking)
            return self._say({"reasoning_content": block.thinking})
        if block.type != "tool_use":
            return ()
        opened.call = self._calls
        self._calls += 1
        function = {"name": block.name, "arguments": ""}
        opener = {"index": opened.call, "id": block.id, "type": "function", "function": function}
        return self._say({"tool_calls": [opener]})

    def _delta(self, index: int, delta: _Delta) -> Sequence[Json]:
        opened = self._open.get(index)
        if opened is None:
            raise UpstreamBadReply("The provider's stream continues a block that it never began.")
        if delta.type == "text_delta":
            return self._say({"content": delta.text}) if delta.text else ()
        if delta.type == "input_json_delta":
            return self._arguments(opened, delta.partial_json)
        if delta.type == "thinking_delta" and delta.thinking:
            opened.pieces.append(delta.thinking)
            return self._say({"reasoning_content": delta.thinking})
        if delta.type == "signature_delta":
            opened.block.signature += delta.signature
        return ()  # citations have no place in a chat chunk

    def _arguments(self, opened: _Open, piece: str) -> Sequence[Json]:
        if not piece or opened.call < 0:
            return ()
        opened.argued = True
        call = {"index": opened.call, "function": {"arguments": piece}}
        return self._say({"tool_calls": [call]})

    def _block_stop(self, index: int) -> Sequence[Json]:
        opened = self._open.pop(index, None)
        if opened is None:
            return ()
        block = opened.block
        if opened.call >= 0 and not opened.argued:
            # Without arguments the joined string would be "", which is not JSON.
            return self._arguments(opened, _json(block.input))
        if block.type in ("thinking", "redacted_thinking"):
            block.thinking = "".join(opened.pieces)
            return self._say({"thinking_blocks": [thinking_block(block)]})
        return ()

    def _message_delta(self, read: _Event) -> Sequence[Json]:
        self._count(read.usage)
        delta = read.delta
        if delta is None or delta.stop_reason is None or self._ended:
            return ()
        end = self._end(finish_reason(delta.stop_reason))
        if delta.stop_details and delta.stop_details.explanation:
            return [*self._say({"refusal": delta.stop_details.explanation}), *end]
        return end

    def _end(self, reason: str) -> Sequence[Json]:
        self._ended = True
        return self._say({}, reason)

    def _say(self, delta: Json, finish: str | None = None) -> Sequence[Json]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return ({**self._chunk, "choices": [choice]},)

    def _count(self, counts: Counts | None) -> None:
        if counts is not None:
            self._counts = merged(self._counts, counts)
            self.usage = usage_of(self._counts)


def _json(value: Any) -> str:
    return fields.encode(value if value is not None else {}).decode()


def _failure(data: bytes) -> Exception:
    said = error_said(data)
    return failure_of(said.type or "api_error", said)
