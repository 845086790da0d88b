"""Streams of Anthropic's messages. Rule: the texts of a block end before the block does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.wire import texts

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.wire.editing.channels import Channels

# How a text goes on that began in the block's first event; any other goes on as it has come.
_DELTAS = {"text": "text_delta", "thinking": "thinking_delta"}
_ENDS_ALL = frozenset(("message_delta", "message_stop"))


class Blocks:
    """One stream; see stream.Form."""

    __slots__ = ("_channels", "before")

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self.before: list[Json] = []

    def edit(self, event: Json) -> bool:
        """See stream.Form."""
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._said(event.get("index"), event.get("delta"))
        if kind == "content_block_start":
            return self._said(event.get("index"), event.get("content_block"))
        if kind == "content_block_stop":
            index = event.get("index")
            self._end([key for key in self._channels.keys if key[0] == index])
        elif kind in _ENDS_ALL:
            self.end()
        return self._channels.rewrite(event)

    def end(self) -> None:
        """See stream.Form."""
        self._end(self._channels.keys)

    def added(self, key: Any, text: str) -> Json:
        """See stream.Form."""
        index, name, kind = key
        return {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: text}}

    def _end(self, keys: list[Any]) -> None:
        for key in keys:
            rest, _ = self._channels.end(key)
            if rest:
                self.before.append(self.added(key, rest))

    def _said(self, index: Any, said: Any) -> bool:
        if not isinstance(said, dict):
            return False
        changed = False
        for name, held in said.items():
            if not isinstance(held, str):
                changed |= self._channels.rewrite({name: held})
            elif held and texts.is_text(name, held, is_part=True):
                kind = _DELTAS.get(name) or said.get("type")
                key = (index, name, kind)
                changed |= self._channels.say(key, said, name, is_json=name == "partial_json")
        return changed
