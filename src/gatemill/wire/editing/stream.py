"""The way of one stream through an editor. Rule: what is no text leaves as it came.

An event in which nothing changes keeps its bytes. Comments pass. An event that cannot be read ends the
stream: nobody can say what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gatemill.core.errors import GatemillError, UpstreamBadReply
from gatemill.wire import fields, sse
from gatemill.wire.editing.splice import Splice

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.wire.editing.channels import Channels

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_DONE = b"[DONE]"


class Form(Protocol):
    """How one format tells its texts."""

    before: list[Json]
    """What goes out before the event at hand, or at the end; whoever sends it empties it."""

    def edit(self, event: Json) -> bool:
        """The texts of `event` are edited. Whether it has changed."""
        ...

    def end(self) -> None:
        """All texts have ended; their rests are in `before`."""
        ...

    def added(self, key: Any, text: str) -> Json:
        """An event that says no more than this, of the text `key` of the channels."""
        ...


class Editing:
    """One stream; satisfies edits.Editor."""

    __slots__ = ("_channels", "_form", "_is_named", "_splice", "failure")

    def __init__(self, form: Form, channels: Channels) -> None:
        self._form = form
        self._channels = channels
        self._is_named = False  # events have names
        self._splice = Splice()
        self.failure: GatemillError | None = None

    def feed(self, data: bytes) -> bytes:
        """See Editor."""
        out: list[bytes] = []
        for raw in data.split(b"\n\n"):
            if self.failure is not None:
                break
            if raw:
                try:
                    self._edit(raw, out)
                except GatemillError as error:
                    self._stop(error, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """See Editor."""
        out: list[bytes] = []
        if self.failure is None:
            try:
                self._form.end()
            except GatemillError as error:
                self._stop(error, out)
            self._release(out)
        return b"".join(out)

    def _edit(self, raw: bytes, out: list[bytes]) -> None:
        text = self._splice.text(raw)
        if text is not None:
            holder = {"": text}
            self._channels.say(self._splice.key, holder, "", is_json=self._splice.is_json)
            self._channels.passed()
            out.append(self._splice.event(holder[""]))
            return
        if raw.startswith(b"data: {") and b"\n" not in raw:
            data = raw[6:]
        else:
            found = next(sse.events(raw), None)
            if found is None:  # a comment
                out.append(raw + b"\n\n")
                return
            data = found[1]
            self._is_named = bool(found[0])
            if data.strip() == _DONE:
                self._form.end()
                self._release(out)
                out.append(raw + b"\n\n")
                return
        event = _read(data)
        changed = self._form.edit(event)
        if self._form.before:
            self._release(out)
        elif len(spoken := self._channels.spoken) == 1:
            self._splice.learn(raw, event, spoken[0])
        self._channels.passed()
        out.append(_with_data(raw, fields.encode(event)) if changed else raw + b"\n\n")

    def _release(self, out: list[bytes]) -> None:
        for event in self._form.before:
            name = str(event.get("type", "")) if self._is_named else ""
            out.append(sse.event(fields.encode(event), name))
        self._form.before.clear()

    def _stop(self, error: GatemillError, out: list[bytes]) -> None:
        """What was decided before the failure goes out; the event that brought it does not."""
        self.failure = error
        spoken = self._channels.spoken
        said = [self._form.added(part.key, part.told) for part in spoken if part.told]
        self._form.before += said
        self._release(out)


def _read(data: bytes) -> Json:
    try:
        event: Json = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's stream holds an event that is not JSON.") from None
    return event


def _with_data(raw: bytes, data: bytes) -> bytes:
    """The event with other data; its name, its id and comments stay."""
    if raw.startswith(b"data: ") and b"\n" not in raw:
        return b"data: %b\n\n" % data
    lines = [line for line in raw.split(b"\n") if not line.startswith(b"data:")]
    return b"%b\ndata: %b\n\n" % (b"\n".join(lines), data)
