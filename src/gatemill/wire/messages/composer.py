"""Hub chunks as Anthropic's stream.

Rule: Anthropic's content blocks follow one another, so exactly one block is open. What belongs to
another block waits in the queue until the open one is certainly complete: text and thinking as soon
as something else begins, a tool call once its arguments are a JSON object, the rest at the end.
The queue holds at most the answer itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import fields, sse
from gatemill.wire.messages.outward import message_id, tool_use_id
from gatemill.wire.messages.words import stop_reason, usage_object

if TYPE_CHECKING:
    from gatemill.core.call import Usage
    from gatemill.core.ports import Json

_NO_USAGE = {"input_tokens": 0, "output_tokens": 0}


class _Block(Struct):
    """One content block, whole or in the making. Written by Composer alone."""

    kind: str  # text, thinking, tool or whole
    tool: int = -1  # the hub's index of a tool call
    start: Json = {}  # content_block of its content_block_start; complete for the kind `whole`
    held: list[str] = []  # pieces that were not sent yet
    arguments: list[str] = []  # all pieces of a tool call
    signature: str = ""


class Composer:
    """One stream in the making; satisfies ports.ChunkWriter."""

    __slots__ = ("_calls", "_finish", "_id", "_index", "_live", "_queue", "_refuses", "_tools")

    def __init__(self) -> None:
        self._id = ""  # of the message; set by the first chunk
        self._queue: list[_Block] = []  # the first one is open, or will be next
        self._tools: dict[int, _Block] = {}  # all tool calls of the answer, by the hub's index
        self._live = False  # content_block_start of the first one was sent
        self._index = 0  # of the first one
        self._finish: str | None = None
        self._refuses = False
        self._calls = False

    def write(self, chunk: Json) -> bytes:
        """Events for one chunk; b"" while its content has to wait."""
        out: list[bytes] = []
        if not self._id:
            self._begin(chunk, out)
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue  # Anthropic has one answer; n > 1 cannot be asked for on this surface
            self._take(choice.get("delta") or {}, out)
            if finish := choice.get("finish_reason"):
                self._finish = finish
                self._drain(out)
        return b"".join(out)

    def finish(self, usage: Usage | None) -> bytes:
        """The open blocks' ends, message_delta with the usage, and message_stop."""
        out: list[bytes] = []
        if not self._id:
            self._begin({}, out)
        self._drain(out)
        reason = stop_reason(self._finish, refuses=self._refuses, calls=self._calls)
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": usage_object(usage) if usage else _NO_USAGE,
        }
        return b"".join((*out, _event(delta), _event({"type": "message_stop"})))

    def _begin(self, chunk: Json, out: list[bytes]) -> None:
        self._id = message_id(chunk.get("id"))
        out.append(_message_start(self._id, chunk.get("model") or ""))

    def _take(self, delta: Json, out: list[bytes]) -> None:
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            self._add("thinking", thought, out)
        for whole in delta.get("thinking_blocks") or ():
            self._add_signed(whole, out)
        if text := delta.get("content"):
            self._add("text", text, out)
        if refusal := delta.get("refusal"):
            self._refuses = True
            self._add("text", refusal, out)
        for call in delta.get("tool_calls") or ():
            self._add_call(call, out)

    def _add(self, kind: str, piece: str, out: list[bytes]) -> None:
        if not self._queue or self._queue[-1].kind != kind or self._queue[-1].signature:
            self._queue.append(_Block(kind=kind, start=_STARTS[kind]))
        self._queue[-1].held.append(piece)
        self._advance(out)

    def _add_signed(self, whole: Json, out: list[bytes]) -> None:
        """A signed block: the end of the thinking just sent in pieces, or one of its own."""
        last = self._queue[-1] if self._queue else None
        signs = whole.get("type") == "thinking"
        if signs and last is not None and last.kind == "thinking" and not last.signature:
            last.signature = whole.get("signature") or ""
        elif signs:
            block = _Block(kind="thinking", start=_STARTS["thinking"])
            block.held.append(whole.get("thinking") or "")
            block.signature = whole.get("signature") or ""
            self._queue.append(block)
        else:
            self._queue.append(_Block(kind="whole", start=whole))
        self._advance(out)

    def _add_call(self, call: Json, out: list[bytes]) -> None:
        self._calls = True
        number = call.get("index") or 0
        block = self._tools.get(number)
        if block is None:
            start = {"type": "tool_use", "id": "", "name": "", "input": {}}
            block = self._tools[number] = _Block(kind="tool", tool=number, start=start)
            self._queue.append(block)
        function = call.get("function") or {}
        # Some vendors repeat id and name on every piece, or send them late: the first one counts.
        block.start["id"] = block.start["id"] or call.get("id") or ""
        block.start["name"] = block.start["name"] or function.get("name") or ""
        if piece := function.get("arguments"):
            # After its last brace a call is closed and only white space can follow.
            block.arguments.append(piece)
            block.held.append(piece)
        self._advance(out)

    def _advance(self, out: list[bytes]) -> None:
        """Send what can be sent of the open block, and open the next ones as far as possible."""
        while self._queue:
            block = self._queue[0]
            if not self._live:
                if block.kind == "tool" and not block.start["name"]:
                    return
                if block.kind == "tool":
                    block.start["id"] = block.start["id"] or tool_use_id(self._id, block.tool)
                out.append(_start(self._index, block.start))
                self._live = True
            self._send(block, out)
            if len(self._queue) == 1 or not _complete(block):
                return
            self._close(out)

    def _send(self, block: _Block, out: list[bytes]) -> None:
        delta_type, field = _DELTAS[block.kind]
        out.extend(
            _delta(self._index, {"type": delta_type, field: piece}) for piece in block.held if piece
        )
        block.held.clear()

    def _close(self, out: list[bytes]) -> None:
        block = self._queue.pop(0)
        if block.signature:
            signature = {"type": "signature_delta", "signature": block.signature}
            out.append(_delta(self._index, signature))
        out.append(_event({"type": "content_block_stop", "index": self._index}))
        self._index += 1
        self._live = False

    def _drain(self, out: list[bytes]) -> None:
        while self._queue:
            self._advance(out)
            if not self._live:
                raise UpstreamBadReply("The provider called a tool without naming it.")
            self._close(out)


_STARTS: dict[str, Json] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool": ("input_json_delta", "partial_json"),
    "whole": ("", ""),
}


def _complete(block: _Block) -> bool:
    if block.kind != "tool":
        return True
    arguments = "".join(block.arguments)
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _message_start(id_: str, model: str) -> bytes:
    message: Json = {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _NO_USAGE,  # known at the end; message_delta has all of it
    }
    return _event({"type": "message_start", "message": message})


def _start(index: int, block: Json) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": block})


def _delta(index: int, delta: Json) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _event(event: Json) -> bytes:
    return sse.event(fields.encode(event), event["type"])
