"""Hub chunks as the events of a response.

Rule: every event has the next `sequence_number`; items open in the order in which they first speak
and keep their `output_index`. Reasoning and messages end when another item begins; parallel calls
stay open until the answer ends, because their pieces may alternate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import fields, sse
from gatemill.wire.responses import frame, hub
from gatemill.wire.responses.output import Message, Reasoning, ToolCall

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import Json

ANSWER_CHARS_MAX = 32 << 20  # held until the end, because the last event repeats the whole answer
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def writer(call: Call) -> ResponseWriter:
    """A writer for one translated stream."""
    return ResponseWriter(call)


class ResponseWriter:
    """One answer as events; satisfies ports.ChunkWriter. `response` is its complete form."""

    def __init__(self, call: Call) -> None:
        self.response: Json = {}  # set by the first chunk, complete after finish
        self._call = call
        self._asked = fields.decode_object(call.body)
        self._summary = frame.wants_summary(self._asked)
        self._out: list[bytes] = []  # events since the last return; all methods add to it
        self._sequence = 0
        self._chars = 0
        self._finish_reason = ""
        self._items: list[Reasoning | Message | ToolCall] = []  # by output_index
        self._speaking: Reasoning | Message | None = (
            None  # the one that the next piece may continue
        )
        self._calls: dict[int, ToolCall] = {}  # by the hub's index; open until the answer ends

    def write(self, chunk: Json) -> bytes:
        """The events of one chunk. Raises UpstreamBadReply."""
        read = hub.read(chunk)
        self._begin(read)
        for choice in read.choices:
            if choice.index != 0:  # a response has one choice
                continue
            if said := choice.delta or choice.message:
                self._take(said, choice.logprobs or hub.NO_LOGPROBS)
            self._finish_reason = choice.finish_reason or self._finish_reason
        return self._taken()

    def finish(self, usage: Usage | None) -> bytes:
        """The events that close all items, and the last one with the complete response."""
        self._begin(hub.Chunk(choices=[]))
        reason = _INCOMPLETE.get(self._finish_reason)
        status = "incomplete" if reason else "completed"
        still_open = (self._speaking, *self._calls.values())
        for item in self._items:
            if item in still_open:
                self._emit(item.closed(status if item is self._items[-1] else "completed"))
        self.response |= {"status": status, "output": [item.final for item in self._items]}
        if reason:
            self.response["incomplete_details"] = {"reason": reason}
        if usage is not None:
            self.response["usage"] = frame.usage_object(usage)
        self._emit([{"type": f"response.{status}", "response": self.response}])
        return self._taken()

    def _begin(self, read: hub.Chunk) -> None:
        if self.response:
            return
        self.response = frame.response(self._asked, self._call, read)
        for step in ("created", "in_progress"):
            self._emit([{"type": f"response.{step}", "response": self.response}])

    def _take(self, said: hub.Said, logprobs: hub.Logprobs) -> None:
        if said.thought or said.thinking_blocks:
            self._count(said.thought)
            self._emit(self._reasoning().think(said.thought, said.thinking_blocks or ()))
        if said.content:
            self._count(said.content)
            self._emit(self._message().say(said.content, logprobs.content or ()))
        if said.refusal:
            self._count(said.refusal)
            self._emit(self._message().refuse(said.refusal))
        for citation in said.annotations or ():
            if citation.url_citation:
                flat = {"type": citation.type, **citation.url_citation}
                self._emit(self._message().cite(flat))
        for position, call in enumerate(said.tool_calls or ()):
            self._argue(call, position if call.index is None else call.index)

    def _count(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > ANSWER_CHARS_MAX:
            raise UpstreamBadReply("The provider's answer is larger than 32 MiB.")

    def _reasoning(self) -> Reasoning:
        if isinstance(self._speaking, Reasoning):
            return self._speaking
        self._silence()
        item = Reasoning(self._id("rs"), len(self._items), summary=self._summary)
        self._open(item)
        self._speaking = item
        return item

    def _message(self) -> Message:
        if isinstance(self._speaking, Message):
            return self._speaking
        self._silence()
        item = Message(self._id("msg"), len(self._items))
        self._open(item)
        self._speaking = item
        return item

    def _argue(self, call: hub.ToolCall, index: int) -> None:
        item = self._calls.get(index)
        if item is None:
            item = self._calls[index] = self._called(call)
        piece = call.custom.input if call.custom else call.function and call.function.arguments
        if piece:
            self._count(piece)
            self._emit(item.argue(piece))

    def _called(self, call: hub.ToolCall) -> ToolCall:
        name = (call.custom or call.function or hub.Function()).name
        if not name:
            raise UpstreamBadReply("The provider's tool call has no name.")
        self._silence()
        own_id = self._id("ctc" if call.custom else "fc")
        head = {"id": own_id, "call_id": call.id or f"call_{own_id}", "name": name}
        item = ToolCall(head, len(self._items), custom=call.custom is not None)
        self._open(item)
        return item

    def _silence(self) -> None:
        if self._speaking is not None:
            self._emit(self._speaking.closed("completed"))
            self._speaking = None

    def _open(self, item: Reasoning | Message | ToolCall) -> None:
        self._items.append(item)
        self._emit(item.opened())

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._call.id}_{len(self._items)}"

    def _emit(self, events: list[Json]) -> None:
        for event in events:
            numbered = {"type": event["type"], "sequence_number": self._sequence, **event}
            self._sequence += 1
            self._out.append(sse.event(fields.encode(numbered), event["type"]))

    def _taken(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out
