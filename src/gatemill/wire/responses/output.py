"""The output items of a response as they grow: each step returns the events it causes.

Rule: events leave without `sequence_number`; the stream numbers them. An item that has been closed
is in `final`, as the complete response shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.wire.responses import thinking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Json


class Reasoning:
    """A reasoning item: its text is a summary where the caller asked for one."""

    def __init__(self, item_id: str, index: int, *, summary: bool) -> None:
        self._at: Json = {"item_id": item_id, "output_index": index}
        self._summary = summary
        self._pieces: list[str] = []
        self._blocks: list[Json] = []
        self.final: Json = {"id": item_id, "type": "reasoning", "summary": []}

    def opened(self) -> list[Json]:
        """The item appears."""
        return [_item_event("added", self._at, self.final)]

    def think(self, text: str, blocks: Sequence[Json]) -> list[Json]:
        """More reasoning; `blocks` are whole, their text has been told before."""
        self._blocks += blocks
        if not text:
            return []
        events = [] if self._pieces else [self._part_event("added", "")]
        self._pieces.append(text)
        name = "reasoning_summary_text" if self._summary else "reasoning_text"
        return [*events, {"type": f"response.{name}.delta", **self._place(), "delta": text}]

    def closed(self, status: str) -> list[Json]:
        """The item is complete; reasoning items show no status, because callers send them back."""
        events: list[Json] = []
        text = "".join(self._pieces)
        if text:
            name = "reasoning_summary_text" if self._summary else "reasoning_text"
            events.append({"type": f"response.{name}.done", **self._place(), "text": text})
            events.append(self._part_event("done", text))
            self.final["summary" if self._summary else "content"] = [self._part(text)]
        if any(block.get("signature") or block.get("data") for block in self._blocks):
            self.final["encrypted_content"] = thinking.seal(self._blocks)
        return [*events, _item_event("done", self._at, self.final)]

    def _place(self) -> Json:
        return {**self._at, "summary_index" if self._summary else "content_index": 0}

    def _part(self, text: str) -> Json:
        return {"type": "summary_text" if self._summary else "reasoning_text", "text": text}

    def _part_event(self, step: str, text: str) -> Json:
        name = "reasoning_summary_part" if self._summary else "content_part"
        return {"type": f"response.{name}.{step}", **self._place(), "part": self._part(text)}


class Message:
    """A message item: parts of text and refusal."""

    def __init__(self, item_id: str, index: int) -> None:
        self._at: Json = {"item_id": item_id, "output_index": index}
        self._kind = ""  # of the open part: "", "output_text" or "refusal"
        self._pieces: list[str] = []  # of the open part, as are the two below
        self._logprobs: list[Json] = []
        self._annotations: list[Json] = []
        self._parts: list[Json] = []
        self.final: Json = {"id": item_id, "type": "message", "role": "assistant"}

    def opened(self) -> list[Json]:
        """The item appears."""
        item = {**self.final, "status": "in_progress", "content": []}
        return [_item_event("added", self._at, item)]

    def say(self, text: str, logprobs: Sequence[Json]) -> list[Json]:
        """More text."""
        events = self._opened("output_text")
        self._pieces.append(text)
        self._logprobs += map(_logprob, logprobs)
        shown = [_short(entry) for entry in logprobs]
        delta = {**self._place(), "delta": text, "logprobs": shown}
        return [*events, {"type": "response.output_text.delta", **delta}]

    def refuse(self, text: str) -> list[Json]:
        """More of a refusal."""
        events = self._opened("refusal")
        self._pieces.append(text)
        return [*events, {"type": "response.refusal.delta", **self._place(), "delta": text}]

    def cite(self, annotation: Json) -> list[Json]:
        """A page that the text cites."""
        events = self._opened("output_text")
        place = {**self._place(), "annotation_index": len(self._annotations)}
        self._annotations.append(annotation)
        name = "response.output_text.annotation.added"
        return [*events, {"type": name, **place, "annotation": annotation}]

    def closed(self, status: str) -> list[Json]:
        """The item is complete."""
        events = self._part_closed()
        self.final |= {"status": status, "content": self._parts}
        return [*events, _item_event("done", self._at, self.final)]

    def _place(self) -> Json:
        return {**self._at, "content_index": len(self._parts)}

    def _opened(self, kind: str) -> list[Json]:
        if self._kind == kind:
            return []
        events = self._part_closed()
        self._kind = kind
        part = {"type": "response.content_part.added", **self._place(), "part": self._part("")}
        return [*events, part]

    def _part(self, text: str) -> Json:
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": list(self._annotations),
            "logprobs": list(self._logprobs),
        }

    def _part_closed(self) -> list[Json]:
        if not self._kind:
            return []
        text = "".join(self._pieces)
        part, place = self._part(text), self._place()
        done: Json = {"type": f"response.{self._kind}.done", **place}
        if self._kind == "refusal":
            done["refusal"] = text
        else:
            done |= {"text": text, "logprobs": [_short(entry) for entry in self._logprobs]}
        self._parts.append(part)
        self._kind, self._pieces, self._logprobs, self._annotations = "", [], [], []
        return [done, {"type": "response.content_part.done", **place, "part": part}]


class ToolCall:
    """A function's or a custom tool's call."""

    def __init__(self, head: Json, index: int, *, custom: bool) -> None:
        """`head` holds id, call_id and name."""
        self._at: Json = {"item_id": head["id"], "output_index": index}
        self._custom = custom
        self._pieces: list[str] = []
        self.final: Json = {"type": "custom_tool_call" if custom else "function_call", **head}

    def opened(self) -> list[Json]:
        """The item appears."""
        return [_item_event("added", self._at, self._item("in_progress"))]

    def argue(self, text: str) -> list[Json]:
        """More of the arguments."""
        self._pieces.append(text)
        return [{"type": f"response.{self._name()}.delta", **self._at, "delta": text}]

    def closed(self, status: str) -> list[Json]:
        """The item is complete."""
        done: Json = {"type": f"response.{self._name()}.done", **self._at}
        self.final = self._item(status)
        if self._custom:
            done["input"] = self.final["input"]
        else:
            done |= {"name": self.final["name"], "arguments": self.final["arguments"]}
        return [done, _item_event("done", self._at, self.final)]

    def _name(self) -> str:
        return "custom_tool_call_input" if self._custom else "function_call_arguments"

    def _item(self, status: str) -> Json:
        said = "".join(self._pieces)
        if self._custom:  # these show no status
            return {**self.final, "input": said}
        return {**self.final, "arguments": said, "status": status}


def _item_event(step: str, at: Json, item: Json) -> Json:
    return {
        "type": f"response.output_item.{step}",
        "output_index": at["output_index"],
        "item": dict(item),
    }


def _logprob(entry: Json) -> Json:
    """As a complete answer shows it: `bytes` is never null there."""
    others = entry.get("top_logprobs") or ()
    top = [{**other, "bytes": other.get("bytes") or []} for other in others]
    return {**entry, "bytes": entry.get("bytes") or [], "top_logprobs": top}


def _short(entry: Json) -> Json:
    """As an event shows it: without bytes."""
    top = [_pair(other) for other in entry.get("top_logprobs") or ()]
    return {**_pair(entry), "top_logprobs": top}


def _pair(entry: Json) -> dict[str, Any]:
    return {"token": entry.get("token", ""), "logprob": entry.get("logprob", 0.0)}
