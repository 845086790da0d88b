"""Tokens become text as they come: no half character, and nothing that may be part of a stop string.

Rule: pure; one `Text` for one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HALF = "\ufffd"  # what a tokenizer makes of bytes that are not a character yet


class Text:
    """The text of one choice; `decode` turns token ids into text."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: tuple[str, ...]) -> None:
        self.stopped = False  # a stop string has come; nothing follows it
        self._decode = decode
        self._stops = stops
        self._ids: list[int] = []
        # A token's text depends on the one before, so each is decoded with some that are known.
        self._from = 0  # where the known ones begin
        self._known = 0  # up to here the text has been taken
        self._held = ""  # the text's end, which may begin a stop string

    def feed(self, ids: Sequence[int]) -> str:
        """The text that may leave now."""
        if self.stopped:
            return ""
        self._ids += ids
        return self._released(self._decoded(last=False))

    def finish(self) -> str:
        """The rest, when the answer has ended for another reason than a stop string."""
        if self.stopped:
            return ""
        released = self._released(self._decoded(last=True))
        held, self._held = self._held, ""
        return released + held

    def _decoded(self, *, last: bool) -> str:
        before = self._decode(self._ids[self._from : self._known])
        after = self._decode(self._ids[self._from :])
        if not last and (len(after) <= len(before) or after.endswith(_HALF)):
            return ""
        self._from, self._known = self._known, len(self._ids)
        return after[len(before) :]

    def _released(self, text: str) -> str:
        text = self._held + text
        cuts = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if cuts:
            self.stopped = True
            self._held = ""
            return text[: min(cuts)]
        kept = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of `text` with which `stop` may begin."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
