"""What is made of findings: labels instead of texts, verdicts, or a refusal.

Rule: a finding counts from the place on where its guard's score in that text reaches the threshold; so a
stream and a whole text are judged alike. Nothing here keeps a text beyond its request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.errors import ContentBlocked
from gatemill.core.guard import Piece, Verdict
from gatemill.wire import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gatemill.core.guard import Finding, Use
    from gatemill.gateway.guards import Side

PLACEHOLDERS_MAX = 1_000  # of one request; what is found beyond gets a label that stays
VERDICTS_MAX = 32  # of one request: guards times kinds; more are counted as OTHER
OTHER = "other"
_ALMOST = 1e-9  # 0.1 + 0.2 reaches 0.3
TOLD_MAX = 16  # verdicts in a header
_KIND_CHARS_MAX = 60
_NO_WORD = re.compile(r"[^A-Za-z0-9_/.-]")
_NO_LETTER = re.compile(r"[^A-Z0-9]+")
_PLACEHOLDER = re.compile(rb"\[[A-Z0-9_]+_[0-9]+\]")


class Marks:
    """The placeholders of one request, and what each stands for."""

    __slots__ = ("_body", "_by_value", "_numbers", "_taken", "values")

    def __init__(self, body: bytes = b"") -> None:
        """`body` is the request; what looks like a placeholder in it stands for itself."""
        self.values: dict[str, str] = {}  # placeholder -> text; bounded by PLACEHOLDERS_MAX
        self._body = body
        self._taken: frozenset[bytes] | None = None  # read once something is hidden
        self._by_value: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}  # by label

    def placeholder(self, kind: str, text: str) -> str:
        """`[EMAIL_1]`: the same for equal texts of a request."""
        found = self._by_value.get((kind, text))
        if found is not None:
            return found
        if len(self.values) >= PLACEHOLDERS_MAX:
            return label(kind)
        made = self._made(kind)
        self.values[made] = text
        self._by_value[kind, text] = made
        return made

    def _made(self, kind: str) -> str:
        """The next that is free."""
        if self._taken is None:
            self._taken, self._body = frozenset(_PLACEHOLDER.findall(self._body)), b""
        name = label(kind)[:-1]
        while True:
            number = self._numbers[name] = self._numbers.get(name, 0) + 1
            made = f"{name}_{number}]"
            if made.encode() not in self._taken:
                return made


def label(kind: str) -> str:
    """`[EMAIL]`: what stands in place of a text of this kind."""
    return f"[{_NO_LETTER.sub('_', kind.upper())}]"


class Judge:
    """The judgement of one side of one request."""

    __slots__ = ("_found", "_fresh", "blocked", "marks", "side")

    def __init__(self, side: Side, marks: Marks) -> None:
        self.side = side
        self.marks = marks
        self._found: set[tuple[str, str, str]] = set()  # guard, kind, mode; bounded by VERDICTS_MAX
        self._fresh: dict[tuple[str, str, str], list[int]] = {}  # places and characters
        # The refusal, for the first finding of a guard that blocks; written by `refuse`.
        self.blocked: ContentBlocked | None = None

    @property
    def is_fresh(self) -> bool:
        """Something was found since `fresh` was asked."""
        return bool(self._fresh)

    def fresh(self) -> tuple[Verdict, ...]:
        """What was found since this was asked last."""
        found, self._fresh = self._fresh, {}
        return tuple(
            Verdict(self.side.name, guard, kind, mode, count, chars)
            for (guard, kind, mode), (count, chars) in found.items()
        )

    def sizes(self, chars: int) -> None:
        """All texts together have so many characters."""
        use = self.side.size
        if use is None or use.chars_max is None or chars <= use.chars_max:
            return
        self._count(use, "size", chars)
        if use.mode == "block":
            is_input = self.side.name == "input"
            what = "this request has" if is_input else "this answer would have"
            remedy = "Send less." if is_input else "Ask for a shorter answer."
            self.refuse(
                ContentBlocked(
                    f"The guard size lets {use.chars_max} characters of text pass, and {what} {chars}."
                    f" {remedy}"
                )
            )

    def counted(
        self, use: Use, kind: str, chars: int, *, goes_on: bool = False, repeats: bool = False
    ) -> None:
        """A finding that counts is written down; of one that goes on, only its characters.

        In a text that `repeats` what has flowed, only kinds that were not found there are.
        """
        if not (repeats and (use.guard, kind, use.mode) in self._found):
            self._count(use, kind, chars, 0 if goes_on else 1)

    def refuse(self, error: ContentBlocked) -> None:
        """This may not pass; the first reason is the one that is told."""
        self.blocked = self.blocked or error

    def substitute(self, kind: str, text: bytes, use: Use) -> bytes:
        """What stands in place of a finding that counts."""
        if use.mode == "restore":
            return self.marks.placeholder(
                kind, quoted.outside(text.decode("utf-8", "replace"))
            ).encode()
        return label(kind).encode()

    def _count(self, use: Use, kind: str, chars: int, places: int = 1) -> None:
        name = (use.guard, kind, use.mode)
        if name not in self._found and len(self._found) >= VERDICTS_MAX:
            name = (use.guard, OTHER, use.mode)
        self._found.add(name)
        sums = self._fresh.setdefault(name, [0, 0])
        sums[0] += places
        sums[1] += chars


class Scale:
    """Weighs the findings of one text, in their order."""

    __slots__ = ("_best", "_side")

    def __init__(self, side: Side) -> None:
        self._side = side
        self._best: dict[str, dict[str, float]] = {}  # guard -> kind -> its strongest finding

    def use(self, found: Finding) -> Use | None:
        """What is done about a finding; None while it does not count."""
        threshold = self._side.thresholds[found.guard]
        if found.score < threshold:
            best = self._best.setdefault(found.guard, {})
            best[found.kind] = max(found.score, best.get(found.kind, 0.0))
            if sum(best.values()) < threshold - _ALMOST:
                return None
        elif threshold > 0:
            self._best.setdefault(found.guard, {})[found.kind] = found.score
        return self._side.local[found.guard]


class Hand:
    """What is made of the pieces of one text, in their order."""

    __slots__ = ("_in_string", "_is_json", "_judge", "_last", "_repeats", "_scale", "_where")

    def __init__(
        self, judge: Judge, where: str, *, is_json: bool = False, repeats: bool = False
    ) -> None:
        """`where` is the path of the text; `is_json`: it is opened JSON; `repeats`: it has flowed before."""
        self._judge = judge
        self._where = where
        self._is_json = is_json
        self._in_string = not is_json  # of that JSON
        self._repeats = repeats
        self._scale = Scale(judge.side)
        # By guard and kind: where the finding began whose pieces are coming, and what is done about it.
        self._last: dict[tuple[str, str], tuple[int, Use | None]] = {}

    def take(self, piece: Piece) -> bytes:
        """What stands in place of a piece; b"" when it may not pass, which the judge then says."""
        was_in_string = self._in_string
        if self._is_json and piece.text.count(b'"') % 2:
            self._in_string = not was_in_string
        found = piece.finding
        if found is None:
            return piece.text
        judge, name = self._judge, (found.guard, found.kind)
        start, use = self._last.get(name, (-1, None))
        goes_on = start == found.start
        if not goes_on:
            use = self._scale.use(found)
            self._last[name] = (found.start, use)
        if use is None:
            return piece.text
        text = piece.text
        chars = len(text.decode("utf-8", "replace")) or found.end - found.start
        judge.counted(use, found.kind, chars, goes_on=goes_on, repeats=self._repeats)
        if use.mode == "log":
            return text
        # A label would take the end of a string of the JSON with it.
        if use.mode == "block" or (self._is_json and b'"' in text):
            judge.refuse(refusal(judge.side.name, use, found.kind, chars, self._where))
            return b""
        if goes_on or not text:
            return b""
        told = judge.substitute(found.kind, text, use)
        return told if was_in_string else b'"%b"' % told  # a number, or a word of the JSON itself


def joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces of a whole text, with those of one finding together where nothing stands between."""
    last: Piece | None = None
    for piece in pieces:
        if last is not None and last.finding is not None and _goes_on(last.finding, piece.finding):
            last = Piece(last.text + piece.text, piece.finding)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _goes_on(last: Finding, found: Finding | None) -> bool:
    return found is not None and (last.guard, last.kind, last.start) == (
        found.guard,
        found.kind,
        found.start,
    )


def refusal(side: str, use: Use, kind: str, chars: int, where: str) -> ContentBlocked:
    """The refusal of a guard that blocks: guard, kind and length, never the text."""
    what = f"{kind}, {chars} characters"
    if side == "input":
        return ContentBlocked(
            f"`{where}`: the guard {use.guard} does not let this pass ({what}). Take it out and send"
            " the rest.",
            param=where,
        )
    return ContentBlocked(
        f"The guard {use.guard} of this gateway does not let this answer pass ({what})."
        " Ask for something else."
    )


def told(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a header says them: `input;pii;email;mask;2;36`, with commas between."""
    said = [
        f"{one.side};{one.guard};{_safe(one.kind)};{one.mode};{one.count};{one.chars}"
        for one in verdicts[:TOLD_MAX]
    ]
    return ", ".join(said)


def header(verdicts: Sequence[Verdict]) -> bytes:
    """The line of an answer's head; b"" where nothing was found."""
    return b"x-gatemill-guards: %b\r\n" % told(verdicts).encode() if verdicts else b""


def with_verdicts(decision: str, verdicts: Sequence[Verdict]) -> str:
    """What was weighed for a call, with what its guards have found: JSON for the ledger's row."""
    said = msgspec.json.decode(decision) if decision else {}
    said["guards"] = [msgspec.to_builtins(one) for one in verdicts]
    return msgspec.json.encode(said).decode()


def _safe(kind: str) -> str:
    # Kinds of hooks and models come from elsewhere.
    return _NO_WORD.sub("_", kind[:_KIND_CHARS_MAX])


def merged(verdicts: Sequence[Verdict], more: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """All verdicts of a call, each (side, guard, kind, mode) once."""
    sums: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for one in (*verdicts, *more):
        name = (one.side, one.guard, one.kind, one.mode)
        count, chars = sums.get(name, (0, 0))
        sums[name] = (count + one.count, chars + one.chars)
    return tuple(Verdict(*name, *counts) for name, counts in sums.items())
