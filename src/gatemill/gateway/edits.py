"""What guards do to an answer that flows: held for as long as it takes to be sure, no longer.

Rule: what comes out, joined, does not depend on how the text was cut. Behind a place that is blocked
nothing comes out any more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatemill.gateway.judging import Hand
from gatemill.wire import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.errors import ContentBlocked
    from gatemill.core.guard import Piece
    from gatemill.gateway.judging import Judge, Marks

_PLACEHOLDER = re.compile(r"\[[A-Z0-9_]+_[0-9]+\]")
_BEGUN = re.compile(r"[A-Z0-9_]*")


class Texts:
    """The texts of one answer. Satisfies wire.editing.edits.Edits."""

    __slots__ = ("_judge", "_marks", "chars")

    def __init__(self, judge: Judge | None, marks: Marks) -> None:
        """Without a judge, placeholders are put back and nothing is looked for."""
        self._judge = judge
        self._marks = marks
        self.chars = 0  # of all channels so far

    @property
    def failure(self) -> ContentBlocked | None:
        """Why nothing more may come."""
        return None if self._judge is None else self._judge.blocked

    @property
    def changes(self) -> bool:
        """A text may come back different."""
        judge = self._judge
        return bool(self._marks.values) or (judge is not None and judge.side.refuses)

    def channel(self, *, is_json: bool) -> Channel:
        """For a text that begins now."""
        return Channel(self, self._judge, self._marks.values, is_json=is_json)

    def whole(self, text: str, *, is_json: bool) -> str:
        """For a text that comes at once: most often one that has flowed already."""
        channel = Channel(self, self._judge, self._marks.values, is_json=is_json, repeats=True)
        return channel.feed(text) + channel.finish()


class Channel:
    """One text that comes in parts. Satisfies wire.editing.edits.Edit."""

    __slots__ = (
        "_back",
        "_closing",
        "_counts",
        "_flow",
        "_hand",
        "_judge",
        "_opening",
        "_texts",
    )

    def __init__(
        self,
        texts: Texts,
        judge: Judge | None,
        values: Mapping[str, str],
        *,
        is_json: bool,
        repeats: bool = False,
    ) -> None:
        scan = None if judge is None else judge.side.scan
        self._texts = texts
        self._judge = judge
        self._counts = judge is not None and judge.side.size is not None and not repeats
        self._flow = None if scan is None else scan.flow()
        self._hand = (
            None if judge is None else Hand(judge, "answer", is_json=is_json, repeats=repeats)
        )
        self._opening = quoted.Opening() if is_json else None
        self._closing = quoted.Closing() if is_json else None
        self._back = Back(values, is_json=is_json) if values else None

    @property
    def failure(self) -> ContentBlocked | None:
        """Why nothing more may come."""
        return None if self._judge is None else self._judge.blocked

    def feed(self, text: str) -> str:
        """What is decided now."""
        if self._opening is not None:
            text = self._opening.feed(text)
        if self._counts:
            self._count(text)
        if self._flow is not None:
            text = self._decided(self._flow.feed(text.encode("utf-8", "replace")))
        if self._back is not None:
            text = self._back.feed(text)
        return text if self._closing is None else self._closing.feed(text)

    def finish(self) -> str:
        """The rest."""
        text = "" if self._opening is None else self._opening.finish()
        if self._flow is not None:
            text = self._decided(self._flow.feed(text.encode())) if text else ""
            text += self._decided(self._flow.finish())
        if self._back is not None:
            text = self._back.feed(text) + self._back.finish()
        return text if self._closing is None else self._closing.feed(text)

    def _count(self, text: str) -> None:
        assert self._judge is not None, "what counts has a judge"
        self._texts.chars += len(text)
        self._judge.sizes(self._texts.chars)

    def _decided(self, pieces: Sequence[Piece]) -> str:
        if len(pieces) == 1 and pieces[0].finding is None and self._opening is None:
            return pieces[0].text.decode("utf-8", "replace")
        out: list[bytes] = []
        for piece in pieces:
            assert self._hand is not None, "what finds has a judge"
            out.append(self._hand.take(piece))
            if piece.finding is not None and self.failure is not None:
                break
        return b"".join(out).decode("utf-8", "replace")


class Back:
    """Puts texts back where their placeholders stand; one that is cut waits for its rest."""

    __slots__ = ("_held", "_is_json", "_most", "_values")

    def __init__(self, values: Mapping[str, str], *, is_json: bool) -> None:
        self._values = values
        self._is_json = is_json
        self._most = max(map(len, values), default=0)
        self._held = ""  # shorter than the longest placeholder

    def feed(self, text: str) -> str:
        """What is sure by now."""
        text = self._held + text
        self._held = ""
        at = text.rfind("[")
        if at >= 0 and len(text) - at < self._most and _BEGUN.fullmatch(text, at + 1):
            self._held = text[at:]
            text = text[:at]
        return _PLACEHOLDER.sub(self._value, text) if "[" in text else text

    def finish(self) -> str:
        """The rest."""
        held, self._held = self._held, ""
        return held

    def _value(self, match: re.Match[str]) -> str:
        value = self._values.get(match[0])
        if value is None:
            return match[0]
        return quoted.inside(value) if self._is_json else value


def put_back(text: str, values: Mapping[str, str], *, is_json: bool) -> str:
    """A whole text with what its placeholders stand for."""
    if "[" not in text:
        return text
    back = Back(values, is_json=is_json)
    if not is_json:
        return back.feed(text) + back.finish()
    opening = quoted.Opening()
    opened = back.feed(opening.feed(text) + opening.finish()) + back.finish()
    return quoted.Closing().feed(opened)
