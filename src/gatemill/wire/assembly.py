"""The whole answer of a stream, as if nobody had asked for one.

Rule: what a chunk adds is merged by its place, whoever sent it; a field that is not known here is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gatemill.core.errors import UpstreamInterrupted
from gatemill.wire import fields, sse
from gatemill.wire.messages.outward import tool_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.ports import Json

# Said once, and repeated by some vendors in every chunk.
_FIXED = frozenset(("role", "id", "type", "name"))
_DONE = b"[DONE]"


class Assembly(Protocol):
    """The answer so far."""

    def add(self, event: bytes) -> None:
        """One whole event, or several. Raises msgspec.MsgspecError for one that is no JSON."""

    def whole(self) -> Json:
        """The answer. Raises UpstreamInterrupted when it has not come to its end."""
        ...


class _Pieces(list[str]):
    """A text that grows; joining it at every piece would take quadratic time."""


def assembly(operation: str) -> Assembly:
    """An answer in the format of this operation, still empty; KeyError for one without streams."""
    return _KINDS[operation]()


class Chunks:
    """Chat completions and text completions: choices that grow."""

    def __init__(self) -> None:
        self._head: Json = {}
        self._choices: dict[int, Json] = {}

    def add(self, event: bytes) -> None:
        """See Assembly."""
        for _, data in sse.events(event):
            if data.strip() == _DONE:
                continue
            chunk = fields.decode_object(data)
            for choice in chunk.pop("choices", None) or ():
                self._grow(choice)
            for name, value in chunk.items():
                if value is not None or name not in self._head:
                    self._head[name] = value

    def _grow(self, choice: Json) -> None:
        index = choice.get("index") or 0
        known = self._choices.setdefault(index, {"index": index})
        delta = choice.pop("delta", None)
        if delta is not None:
            merge(known.setdefault("message", {}), delta)
        choice.pop("index", None)
        merge(known, choice)

    def whole(self) -> Json:
        """See Assembly."""
        choices = [joined(self._choices[index]) for index in sorted(self._choices)]
        if not choices or not all(choice.get("finish_reason") for choice in choices):
            raise _broken()
        for choice in choices:
            message = choice.get("message")
            if message is None:
                continue
            message.setdefault("role", "assistant")
            message.setdefault("content", None)
            message.setdefault("refusal", None)
            for call in message.get("tool_calls") or ():
                call.pop("index", None)
        kind = str(self._head.get("object") or "").removesuffix(".chunk")
        return {**self._head, "object": kind or "chat.completion", "choices": choices}


class Blocks:
    """Anthropic's messages: blocks of content that grow."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: dict[int, Json] = {}
        self._inputs: dict[int, list[str]] = {}  # JSON of a tool's input, as far as it has come
        self._is_over = False

    def add(self, event: bytes) -> None:
        """See Assembly."""
        for _, data in sse.events(event):
            said = fields.decode_object(data)
            kind = said.get("type")
            if kind == "message_start":
                self._message = dict(said.get("message") or {})
            elif kind == "content_block_start":
                self._blocks[said["index"]] = dict(said["content_block"])
            elif kind == "content_block_delta":
                self._grow(said["index"], said["delta"])
            elif kind == "message_delta":
                self._message |= said.get("delta") or {}
                usage = self._message.get("usage") or {}
                self._message["usage"] = usage | (said.get("usage") or {})
            elif kind == "message_stop":
                self._is_over = True

    def _grow(self, index: int, delta: Json) -> None:
        block = self._blocks.setdefault(index, {})
        if "partial_json" in delta:
            self._inputs.setdefault(index, []).append(delta["partial_json"])
        elif "citation" in delta:
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        else:
            merge(block, {name: value for name, value in delta.items() if name != "type"})

    def whole(self) -> Json:
        """See Assembly."""
        if not self._is_over:
            raise _broken()
        for index, pieces in self._inputs.items():
            if text := "".join(pieces):
                self._blocks[index]["input"] = tool_input(text)
        blocks = [joined(self._blocks[at]) for at in sorted(self._blocks)]
        return {**self._message, "content": blocks}


class Last:
    """Responses: the last event holds all of it."""

    def __init__(self) -> None:
        self._response: Json | None = None

    def add(self, event: bytes) -> None:
        """See Assembly."""
        for _, data in sse.events(event):
            if data.startswith(b"{") and b'"response' in data:
                said = fields.decode_object(data)
                if said.get("type") in ("response.completed", "response.incomplete"):
                    self._response = said.get("response")

    def whole(self) -> Json:
        """See Assembly."""
        if self._response is None:
            raise _broken()
        return self._response


def merge(known: Json, more: Json) -> None:
    """`known` has what `more` adds; `joined` makes it plain JSON again.

    Texts grow, lists grow by the `index` of their items, and anything else is replaced.
    """
    for name, value in more.items():
        old = known.get(name)
        if old is None:
            known[name] = _grown([], value) if isinstance(value, list) else value
        elif isinstance(value, list) and isinstance(old, list):
            known[name] = _grown(old, value)
        elif isinstance(value, dict) and isinstance(old, dict):
            merge(old, value)
        elif isinstance(value, str) and isinstance(old, _Pieces):
            old.append(value)
        elif isinstance(value, str) and isinstance(old, str) and name not in _FIXED:
            known[name] = _Pieces((old, value))
        elif value is not None and not (name in _FIXED and old):
            known[name] = value


def joined(value: Any) -> Any:
    """Plain JSON of what has grown."""
    if isinstance(value, _Pieces):
        return "".join(value)
    if isinstance(value, list):
        return [joined(each) for each in value]
    if isinstance(value, dict):
        return {name: joined(each) for name, each in value.items()}
    return value


def _grown(old: list[Any], more: list[Any]) -> list[Any]:
    for item in more:
        place = item.get("index") if isinstance(item, dict) else None
        if place is None:
            old.append(item)
            continue
        known = next((each for each in reversed(old) if each.get("index") == place), None)
        if known is None or _is_another(known, item):
            old.append(item)
        else:
            merge(known, {name: value for name, value in item.items() if name != "index"})
    return old


def _is_another(known: Json, item: Json) -> bool:
    """A tool call that begins where one has the index already, as with Gemini (seen 2026-11)."""
    ids = known.get("id"), item.get("id")
    return all(ids) and ids[0] != ids[1] and bool((item.get("function") or {}).get("name"))


def _broken() -> UpstreamInterrupted:
    return UpstreamInterrupted("The provider's stream ended before the answer did.")


_KINDS: dict[str, Callable[[], Assembly]] = {
    "chat": Chunks,
    "completions": Chunks,
    "messages": Blocks,
    "responses": Last,
}
STREAMED = frozenset(_KINDS)
