"""The texts of a stream that is there as a whole, for whoever has to see each of them whole.

Rule: `told` and `retold` walk the same way, so the n-th text of one is the n-th of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gatemill.wire.editing import editor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.wire.editing.edits import Edit, Edits


class Told(NamedTuple):
    """One text of an answer."""

    text: str
    is_json: bool


class _Listening:
    """An Edit that changes nothing."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = parts

    def feed(self, text: str) -> str:
        self._parts.append(text)
        return text

    def finish(self) -> str:
        return ""


class _Gathering:
    """Edits that change nothing."""

    changes = False
    failure = None

    def __init__(self) -> None:
        self.texts: list[tuple[list[str], bool]] = []

    def channel(self, *, is_json: bool) -> Edit:
        parts: list[str] = []
        self.texts.append((parts, is_json))
        return _Listening(parts)

    def whole(self, text: str, *, is_json: bool) -> str:
        self.texts.append(([text], is_json))
        return text


class _Given:
    """An Edit whose result is known."""

    def __init__(self, text: str) -> None:
        self._text = text

    def feed(self, text: str) -> str:
        return ""

    def finish(self) -> str:
        return self._text


class _Giving:
    """Edits whose results are known."""

    changes = True
    failure = None

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = iter(texts)

    def channel(self, *, is_json: bool) -> Edit:
        return _Given(next(self._texts))

    def whole(self, text: str, *, is_json: bool) -> str:
        return next(self._texts)


def told(operation: str, events: bytes) -> list[Told]:
    """Each text of a stream. Raises UpstreamBadReply for events that cannot be read."""
    gathering = _Gathering()
    _walked(operation, events, gathering)
    return [Told("".join(parts), is_json) for parts, is_json in gathering.texts]


def retold(operation: str, events: bytes, texts: Sequence[str]) -> bytes:
    """The events with other texts, one for each of `told`; each comes where the old one ended."""
    return _walked(operation, events, _Giving(texts))


def _walked(operation: str, events: bytes, edits: Edits) -> bytes:
    walk = editor(operation, edits)
    out = walk.feed(events) + walk.finish()
    if walk.failure is not None:
        raise walk.failure
    return out
