"""The texts of one stream that are still coming. Rule: a text that has ended does not go on.

Texts of several choices, blocks and tool calls come side by side, each through an Edit of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import texts

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.wire.editing.edits import Edit, Edits
    from gatemill.wire.texts import Place

CHANNELS_MAX = 1024  # of one stream
KNOWN_CHARS_MAX = 4 << 20  # kept of texts that come again, in all

Key = tuple[Any, ...]  # which text it is, in its format


class Part(NamedTuple):
    """What an event says of one text."""

    key: Any
    is_json: bool
    text: str  # as it came
    told: str  # as it leaves


class Channel:
    """One text that is coming."""

    __slots__ = ("edit", "holder", "is_json", "key", "name", "source", "text", "told")

    def __init__(self, key: Key, edit: Edit, *, is_json: bool) -> None:
        self.key = key
        self.edit = edit
        self.is_json = is_json
        self.holder: Json | None = None  # where its part stands in the event at hand
        self.name = ""
        self.text = ""  # that part, as it came
        self.source: list[str] = []  # as it came and as it left, where texts come again
        self.told: list[str] = []


class Channels:
    """The texts of one stream."""

    __slots__ = ("_chars", "_edits", "_ended", "_known", "_open", "_repeats", "_spoken")

    def __init__(self, edits: Edits, *, repeats: bool) -> None:
        """`repeats`: the format tells a text again when it has ended. It is edited once then."""
        self._edits = edits
        self._repeats = repeats
        self._open: dict[Key, Channel] = {}
        self._ended: set[Key] = set()
        self._spoken: list[Channel] = []  # in the event at hand
        self._known: dict[tuple[str, bool], str] = {}  # ended texts as they came: as they left
        self._chars = 0  # of these and of open texts, as they came

    @property
    def changes(self) -> bool:
        """See Edits."""
        return self._edits.changes

    @property
    def spoken(self) -> list[Part]:
        """What the event at hand says of texts that are coming."""
        return [
            Part(channel.key, channel.is_json, channel.text, channel.holder[channel.name])
            for channel in self._spoken
            if channel.holder is not None
        ]

    @property
    def keys(self) -> list[Any]:
        """The texts that have not ended, in the order in which they began."""
        return list(self._open)

    def say(self, key: Key, holder: Json, name: str, *, is_json: bool) -> bool:
        """The next part of text `key`, which stands there, is edited. Whether it has changed.

        Raises the failure of the Edits, UpstreamBadReply for a text that had ended.
        """
        channel = self._open.get(key)
        if channel is None:
            channel = self._begun(key, is_json=is_json)
        text: str = holder[name]
        out = channel.edit.feed(text)
        self._stands(channel, holder, name)
        channel.text = text
        if self._repeats and self._has_room(len(text)):
            channel.source.append(text)
            channel.told.append(out)
        changed = out != text
        if changed:
            holder[name] = out
        self._check()
        return changed

    def end(self, key: Key, *, again: bool = False) -> tuple[str, bool]:
        """What is left of text `key`, which is over, and whether that has found its place already.

        It has where the event at hand holds a part of the text. With `again`, a text that begins
        later under the same key is a new one.
        """
        channel = self._open.pop(key)
        if not again:
            self._ended.add(key)
        rest = channel.edit.finish()
        if self._repeats and self._has_room(0):
            source = "".join(channel.source)
            self._known[source, channel.is_json] = "".join((*channel.told, rest))
        is_placed = channel.holder is not None
        if channel.holder is not None:
            channel.holder[channel.name] += rest
        elif self._edits.failure is not None:
            self._stands(channel, {"": rest}, "")
        self._check()
        return rest, is_placed and bool(rest)

    def passed(self) -> None:
        """The event at hand is over."""
        for channel in self._spoken:
            channel.holder = None
        self._spoken.clear()

    def rewrite(self, body: Any) -> bool:
        """All texts of `body`, which come at once, are edited. Whether any has changed.

        Raises the failure of the Edits.
        """
        changed = texts.rewrite(body, self._whole)
        if self._edits.changes:
            changed |= texts.drop_repeats(body)
        return changed

    def _begun(self, key: Key, *, is_json: bool) -> Channel:
        if key in self._ended:
            raise UpstreamBadReply(
                "The provider's stream goes on with a text that had ended; no guard can judge that."
            )
        if len(self._open) + len(self._ended) >= CHANNELS_MAX:
            raise UpstreamBadReply(f"The provider's stream has more than {CHANNELS_MAX} texts.")
        edit = self._edits.channel(is_json=is_json)
        channel = self._open[key] = Channel(key, edit, is_json=is_json)
        return channel

    def _stands(self, channel: Channel, holder: Json, name: str) -> None:
        if channel.holder is None:
            self._spoken.append(channel)
        channel.holder, channel.name = holder, name

    def _check(self) -> None:
        if self._edits.failure is not None:
            raise self._edits.failure

    def _whole(self, place: Place) -> str:
        text = place.text
        told = self._known.get((text, place.is_json))
        if told is None:
            told = self._edits.whole(text, is_json=place.is_json)
            self._check()
            if self._repeats and self._has_room(len(text)):
                self._known[text, place.is_json] = told
        return told

    def _has_room(self, chars: int) -> bool:
        # Once a part had no room, no text is kept any more: it would be kept with a hole.
        self._chars += chars
        return self._chars <= KNOWN_CHARS_MAX
