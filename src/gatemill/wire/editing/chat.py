"""Streams of chat and text completions. Rule: each text of a choice ends before the choice does.

What a delta holds is merged by its place: a text under a name goes on in the next delta, and so does
one in an array whose items have an `index`. Any other item of an array is whole.

What a choice says also ends where a tool call begins, because SDKs tell of its end there; what it says
behind that is a new text. Tool calls end with their choice: some vendors send their parts in turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.wire import texts

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.wire.editing.channels import Channels

_KNOWN = frozenset(
    (
        "id", "object", "created", "model", "system_fingerprint", "service_tier", "obfuscation",
        "choices", "usage",
    )
)  # fmt: skip
_KNOWN_OF_CHOICE = frozenset(("index", "delta", "text", "finish_reason", "logprobs"))
_LEFT_OUT = frozenset(("choices", "usage", "obfuscation"))  # of an event that is added
_CALLS = "tool_calls"

Path = tuple[str | int, ...]  # in a choice; a number is an item's `index`
Key = tuple[int, Path]  # the choice's index, and the path in it


class Chunks:
    """One stream; see stream.Form."""

    __slots__ = ("_calls", "_channels", "_head", "before")

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._head: Json = {}  # the event at hand, or the last
        self.before: list[Json] = []
        self._calls: dict[int, set[Any]] = {}  # by choice: the tool calls that have begun

    def edit(self, event: Json) -> bool:
        """See stream.Form."""
        self._head = event
        changed = False
        for choice in event.get("choices") or ():
            if isinstance(choice, dict):
                changed |= self._choice(choice)
        return self._rest(event, _KNOWN) or changed

    def end(self) -> None:
        """See stream.Form."""
        for choice, path in self._channels.keys:
            self._end(choice, path)

    def added(self, key: Key, text: str) -> Json:
        """See stream.Form."""
        choice, path = key
        out: Any = text
        for step in reversed(path):
            out = [{"index": step, **out}] if isinstance(step, int) else {step: out}
        event = {name: held for name, held in self._head.items() if name not in _LEFT_OUT}
        event["choices"] = [{"index": choice, **out, "logprobs": None, "finish_reason": None}]
        if "usage" in self._head:
            event["usage"] = None
        return event

    def _choice(self, choice: Json) -> bool:
        index = choice.get("index") or 0
        changed = self._rest(choice, _KNOWN_OF_CHOICE)
        delta = choice.get("delta")
        if delta and isinstance(delta, dict):
            changed |= self._said(index, delta, ("delta",))
            if calls := delta.get(_CALLS):
                changed |= self._call(index, calls)
        if choice.get("text"):
            changed |= self._say(index, choice, ("text",))
        if choice.get("logprobs") is not None and self._channels.changes:
            choice["logprobs"] = None
            changed = True
        if choice.get("finish_reason"):
            for key in self._channels.keys:
                if key[0] == index:
                    changed |= self._end(*key)
        return changed

    def _rest(self, holder: Json, known: frozenset[str]) -> bool:
        """Fields that the format does not define are whole."""
        if known.issuperset(holder):
            return False
        rest = {name: held for name, held in holder.items() if name not in known}
        changed = self._channels.rewrite(rest)
        holder.update(rest)
        return changed

    def _said(self, choice: int, said: Json, path: Path) -> bool:
        changed = False
        for name, held in said.items():
            if not held or name == _CALLS:
                continue
            if isinstance(held, str):
                # Of sound and other files, each part is base64 of its own.
                if name != "data" and texts.is_text(name, held, is_part=True):
                    changed |= self._say(choice, said, (*path, name))
            elif isinstance(held, dict):
                changed |= self._said(choice, held, (*path, name))
            elif isinstance(held, list):
                changed |= self._items(choice, held, (*path, name))
        return changed

    def _items(self, choice: int, items: list[Any], path: Path) -> bool:
        changed = False
        for at, item in enumerate(items):
            index = item.get("index") if isinstance(item, dict) else None
            if isinstance(index, int):
                changed |= self._said(choice, item, (*path, index))
            else:
                one = {path[-1]: [item]}
                changed |= self._channels.rewrite(one)
                items[at] = one[path[-1]][0]
        return changed

    def _call(self, choice: int, calls: Any) -> bool:
        changed = False
        known = self._calls.setdefault(choice, set())
        for call in calls:
            index = call.get("index") if isinstance(call, dict) else None
            if index not in known:
                known.add(index)
                for key in self._channels.keys:
                    if key[0] == choice and _CALLS not in key[1]:
                        changed |= self._end(*key, again=True)
            changed |= self._items(choice, [call], ("delta", _CALLS))
        return changed

    def _say(self, choice: int, holder: Json, path: Path) -> bool:
        name = str(path[-1])
        return self._channels.say((choice, path), holder, name, is_json=name == "arguments")

    def _end(self, choice: int, path: Path, *, again: bool = False) -> bool:
        """Whether the event at hand has changed; a rest that has no place there goes before it."""
        rest, is_placed = self._channels.end((choice, path), again=again)
        if rest and not is_placed:
            self.before.append(self.added((choice, path), rest))
        return is_placed
