"""What an editor of streams asks of those who change texts. Rule: seams only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gatemill.core.errors import GatemillError


class Edit(Protocol):
    """One text that comes in parts. What it gives out, joined, is the same however the text was cut."""

    def feed(self, text: str) -> str:
        """What is decided now; the rest is held."""
        ...

    def finish(self) -> str:
        """The rest."""
        ...


class Edits(Protocol):
    """What is done to the texts of one answer."""

    @property
    def failure(self) -> GatemillError | None:
        """A text was blocked; what feed, finish or whole has just returned is what stands before it.

        Nothing is fed from then on.
        """
        ...

    @property
    def changes(self) -> bool:
        """A text may come back different. Then what repeats texts token by token is left out."""
        ...

    def channel(self, *, is_json: bool) -> Edit:
        """For a text that begins now. With `is_json` it is JSON, as a tool's arguments are."""
        ...

    def whole(self, text: str, *, is_json: bool) -> str:
        """For a text that comes at once: what a channel gives out for it, joined."""
        ...


class Editor(Protocol):
    """One stream in its caller's format. Whole events in, whole events out."""

    @property
    def failure(self) -> GatemillError | None:
        """Why nothing more comes: a text was blocked, or the stream breaks its format."""
        ...

    def feed(self, data: bytes) -> bytes:
        """The events, edited; up to the failure, if there is one. Then b""."""
        ...

    def finish(self) -> bytes:
        """The stream has ended well: what was still held, as events of its format."""
        ...
