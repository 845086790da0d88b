"""Streams of OpenAI's responses. Rule: a text ends before the event that tells it whole.

Such events (`*.done`, the last one) repeat a text up to four times; it is edited once. An event that
is added takes the next number, and all behind it count on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.wire.editing.channels import Channels

_PART = ".delta"
_WHOLE = ".done"
_SOUND = "response.audio.delta"  # each part is base64 of its own
_ENDS_ITEM = frozenset(("response.output_item.done", "response.content_part.done"))
_ENDS_ALL = frozenset(("response.completed", "response.incomplete", "response.failed"))
_OUTPUT = 2  # where a key has its output_index


class Items:
    """One stream; see stream.Form."""

    __slots__ = ("_added", "_channels", "_next", "_shapes", "before")

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._shapes: dict[Any, Json] = {}  # by key: the event that began the text
        self._added = 0  # events so far
        self._next = 0  # sequence_number behind the last event, as it came
        self.before: list[Json] = []

    def edit(self, event: Json) -> bool:
        """See stream.Form."""
        kind = event.get("type")
        number = event.get("sequence_number")
        if isinstance(number, int):
            self._next = number
        if not isinstance(kind, str):
            changed = self._channels.rewrite(event)
        elif kind.endswith(_PART) and isinstance(event.get("delta"), str):
            changed = kind != _SOUND and self._said(kind, event)
        else:
            self._end(self._over(kind, event))
            changed = self._channels.rewrite(event)
        if isinstance(number, int):
            event["sequence_number"] = number + self._added
            self._next = number + 1
        return changed or bool(self._added)

    def end(self) -> None:
        """See stream.Form."""
        self._end(self._channels.keys)

    def added(self, key: Any, text: str) -> Json:
        """See stream.Form."""
        event = {**self._shapes[key], "delta": text}
        if "sequence_number" in event:
            event["sequence_number"] = self._next + self._added
            self._added += 1
        return event

    def _end(self, keys: list[Any]) -> None:
        for key in keys:
            rest, _ = self._channels.end(key)
            if rest:
                self.before.append(self.added(key, rest))
            del self._shapes[key]

    def _said(self, kind: str, event: Json) -> bool:
        key = _key(kind, event)
        changed = False
        if self._channels.changes and event.get("logprobs"):
            event["logprobs"] = []
            changed = True
        if not event["delta"]:
            return changed
        if key not in self._shapes:
            shape = self._shapes[key] = {**event, "delta": ""}
            shape.pop("obfuscation", None)  # it hides the length of that one event
        # Arguments of functions and of MCP tools are JSON, a custom tool's input is not.
        return self._channels.say(key, event, "delta", is_json="_arguments." in kind) or changed

    def _over(self, kind: str, event: Json) -> list[Any]:
        """The texts that end before this event."""
        keys = self._channels.keys
        if kind in _ENDS_ALL:
            return keys
        if kind in _ENDS_ITEM:
            output = event.get("output_index")
            return [key for key in keys if key[_OUTPUT] == output]
        if kind.endswith(_WHOLE):
            ended = _key(kind.removesuffix(_WHOLE) + _PART, event)
            return [key for key in keys if key == ended]
        return []


def _key(kind: str, event: Json) -> Any:
    index = event.get("summary_index", event.get("content_index"))
    return kind, event.get("item_id"), event.get("output_index"), index
