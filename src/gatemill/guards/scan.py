"""Finds the places of many patterns in one text, be it whole or in parts.

A text is decided stretch by stretch. A stretch ends where no candidate of any pattern can stand across:
of two neighbouring bytes, every pattern's alphabet lacks one. Where no such place comes for long, a
window is decided, counted from the stretch's beginning and never from where the network has cut.

Rule: what is found is a function of the whole text. Nothing that could belong to a finding leaves
before it is decided, and at most two windows are held back.
"""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from gatemill.core.guard import BEFORE_BYTES, Finding, Piece
from gatemill.policy.expressions import expression, several
from gatemill.wire.screening import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gatemill.core.guard import Flow, Pattern

HARMLESS_MAX = (
    4_096  # strings that are known to hold nothing; the oldest is forgotten, and read again
)
PART_BYTES = 4_096  # of a text that is read until something is found
CONTINUED = range(0x80, 0xC0)  # bytes of UTF-8 that do not begin a character
BYTES = bytes(range(256))


class Look(Struct, frozen=True):
    """A pattern, compiled, and the guard that looks for it."""

    guard: str
    pattern: Pattern
    order: int
    rank: int  # the guard's: of two places that overlap, the text belongs to the lower one
    search: Callable[[bytes, int, int], tuple[int, int] | None]
    closing: Callable[[bytes, int, int], tuple[int, int] | None] | None


class Place(NamedTuple):
    """Where a look has found something; offsets are of the text at hand."""

    start: int
    end: int
    look: Look
    since: int  # where it began, counted from the beginning of the flow
    goes_on: bool  # beyond what was looked at


class Scan:
    """Patterns that are looked for together.

    Of places that overlap, the text belongs to the guard that comes first in `looks`, and within a
    guard to the leftmost, then the longest, then the first pattern. Of another guard, or with more to
    say for itself, a covered place is still told, without a text of its own.
    """

    def __init__(self, looks: Sequence[tuple[str, Pattern]]) -> None:
        """`looks`: guard and pattern. Guards that change the text come first."""
        guards = list(dict.fromkeys(guard for guard, _ in looks))
        self._looks = tuple(
            _look(guard, pattern, order, guards.index(guard))
            for order, (guard, pattern) in enumerate(looks)
        )
        hints = list(dict.fromkeys(pattern.hint for _, pattern in looks))
        self._hints = expression("|".join(hints))
        self._by_hint = several(hints)
        self._numbers = [hints.index(look.pattern.hint) for look in self._looks]
        self._window = max((BEFORE_BYTES, *(pattern.bytes_max for _, pattern in looks)))
        self._ends, self._starts = _tables([pattern.alphabet for _, pattern in looks])
        self._screen = Screen([pattern for _, pattern in looks], self._holds, HARMLESS_MAX)

    def screen(self, body: bytes) -> bool:
        """False: no text of this JSON holds anything that would be found. Ordinary bodies are not decoded."""
        return self._screen.suspects(body)

    def _holds(self, text: bytes) -> bool:
        """Whether anything is found in a whole text; what stands behind that is not read."""
        if not self._screen.may_hold(text):
            return False
        flow = self.flow()
        parts = (text[at : at + PART_BYTES] for at in range(0, len(text), PART_BYTES))
        pieces = chain(chain.from_iterable(map(flow.feed, parts)), _last(flow))
        return any(piece.finding is not None for piece in pieces)

    def find(self, text: bytes) -> list[Finding]:
        """All that is found in a whole text, in its order."""
        found: dict[tuple[int, str, str], Finding] = {}
        for piece in self.pieces(text):
            if piece.finding is not None:
                found[piece.finding.start, piece.finding.guard, piece.finding.kind] = piece.finding
        return list(found.values())

    def pieces(self, text: bytes) -> list[Piece]:
        """A whole text in pieces, as it would flow; none where nothing is found."""
        if self._hints.search(text) is None:
            return []
        flow = self.flow()
        pieces = [*flow.feed(text), *flow.finish()]
        return pieces if any(piece.finding is not None for piece in pieces) else []

    def flow(self) -> Flow:
        """A text that comes in parts."""
        return Reading(self)

    @property
    def window_bytes(self) -> int:
        """Longest place that is found in whatever surroundings; twice as much is held back at most."""
        return self._window

    @property
    def strings_known(self) -> int:
        """Strings that need not be read again, HARMLESS_MAX at most."""
        return self._screen.known

    def safe(self, text: bytes, low: int, high: int) -> int:
        """The last place of low ... high that no candidate can span; 0 is none."""
        ends, starts = self._ends, self._starts
        for place in range(high, low - 1, -1):
            if not ends[text[place - 1]] & starts[text[place]]:
                return place
        return 0

    def looks(self, text: bytes, start: int, end: int) -> Sequence[Look]:
        """Those that may find something in a stretch."""
        low = max(0, start - BEFORE_BYTES)
        if self._hints.search(text, low, end + 1) is None:
            return ()
        return self._hinted(text[low : end + 1])

    def _hinted(self, text: bytes) -> Sequence[Look]:
        """Those whose hint stands in a text."""
        told = self._by_hint.Match(text)
        if told is None:  # it had no memory for an answer
            return self._looks
        return [
            look for look, number in zip(self._looks, self._numbers, strict=True) if number in told
        ]


class Reading:
    """A text that comes in parts."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._window = scan.window_bytes
        # What is undecided, behind up to BEFORE_BYTES that are. Written and read here only, as all below.
        self._text = b""
        self._start = 0  # of the undecided
        self._tried = 0  # up to here no place is safe
        self._gone = 0  # bytes of the flow before _text
        self._open: list[Place] = []  # what began earlier and goes on

    def feed(self, text: bytes) -> list[Piece]:
        """What is decided now."""
        self._text += text
        pieces: list[Piece] = []
        while self._decide(pieces):
            pass
        if self._start > BEFORE_BYTES:
            self._forget(self._start - BEFORE_BYTES)
        return pieces

    def finish(self) -> list[Piece]:
        """The rest."""
        pieces: list[Piece] = []
        if self._start < len(self._text):
            self._settle(pieces, len(self._text), is_window=False)
        return pieces

    def _decide(self, pieces: list[Piece]) -> bool:
        """One more stretch; False: nothing more can be decided yet."""
        text, window = self._text, 2 * self._window
        high = min(len(text), self._start + window) - 1
        cut = self._scan.safe(text, max(self._tried, self._start + 1), high)
        if cut:
            self._settle(pieces, cut, is_window=False)
        elif len(text) > self._start + window:
            end = whole(text, self._start + window)
            self._settle(pieces, end, is_window=True)
        else:
            self._tried = len(text)
            return False
        self._tried = high + 1
        return high + 1 < len(text)

    def _settle(self, pieces: list[Piece], end: int, *, is_window: bool) -> None:
        """The stretch up to `end` is decided; of a window, what begins in its first half."""
        text, start = self._text, self._start
        looks = self._scan.looks(text, start, end)
        if not (looks or self._open or is_window):  # prose, as it streams: word by word
            pieces.append(Piece(text[start:end]))
            self._start = end
            return
        places = [_continued(place, text, (start, end)) for place in self._open]
        for look in looks:
            places += _places(look, text, (start, end), self._gone)
        kept = _standing(places)
        if is_window:
            end = _half(kept, whole(text, start + self._window))
            kept = [place for place in kept if place.start < end]
        self._open = [place for place in kept if place.goes_on]
        for low, high, place in _painted(kept, start, end):
            finding = None if place is None else self._finding(place)
            pieces.append(Piece(text[low:high], finding))
        self._start = end

    def _finding(self, place: Place) -> Finding:
        pattern = place.look.pattern
        return Finding(
            place.since, self._gone + place.end, place.look.guard, pattern.kind, pattern.score
        )

    def _forget(self, count: int) -> None:
        self._text = self._text[count:]
        self._start -= count
        self._tried -= count
        self._gone += count


def _last(flow: Flow) -> Iterator[Piece]:
    """The rest of it, once somebody wants that."""
    yield from flow.finish()


def whole(text: bytes, place: int) -> int:
    """The last place up to `place` that does not split a character, which has four bytes at most."""
    for back in range(4):
        if text[place - back] not in CONTINUED:
            return place - back
    return place


def _look(guard: str, pattern: Pattern, order: int, rank: int) -> Look:
    search = expression(pattern.expression).search
    closing = expression(pattern.closes).search if pattern.closes else None
    return Look(guard, pattern, order, rank, search, closing)


def _tables(alphabets: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """For each byte, which candidates may hold it: as the one before a place, and as the one behind.

    One bit more keeps characters whole.
    """
    masks = [0] * 256
    for bit, alphabet in enumerate(dict.fromkeys(alphabets)):
        for byte in alphabet or BYTES:
            masks[byte] |= 1 << bit
    character = 1 << 64 + len(alphabets)
    ends = [mask | character * (byte >= 0x80) for byte, mask in enumerate(masks)]
    starts = [mask | character * (byte in CONTINUED) for byte, mask in enumerate(masks)]
    return ends, starts


def _places(look: Look, text: bytes, stretch: tuple[int, int], gone: int) -> Iterator[Place]:
    """What one look finds in a stretch."""
    at, end = stretch
    accept = look.pattern.accept
    while at < end and (match := look.search(text, at, end)) is not None:
        start, stop = match
        part: tuple[int, int] | None = (0, stop - start)
        if accept is not None:
            before = text[max(0, start - BEFORE_BYTES) : start]
            part = accept(before, text[start:stop], text[stop : stop + 1])
        if part is None:
            at = max(stop, start + 1)
        elif part[0] == part[1]:
            at = start + part[1]
        else:
            low, high = start + part[0], start + part[1]
            place = _followed(Place(low, high, look, since=gone + low, goes_on=False), text, end)
            yield place
            at = place.end


def _followed(place: Place, text: bytes, end: int) -> Place:
    """The place with what belongs to it behind the candidate."""
    pattern = place.look.pattern
    if place.look.closing is not None:
        return _continued(place, text, (place.end, end))._replace(start=place.start)
    is_cut = place.end == end < len(text) and text[end] in pattern.alphabet
    return place._replace(goes_on=is_cut)


def _continued(place: Place, text: bytes, stretch: tuple[int, int]) -> Place:
    """What of a stretch belongs to a place that began before it."""
    start, end = stretch
    if place.look.closing is not None:
        match = place.look.closing(text, start, end)
        stop, goes_on = (end, True) if match is None else (match[1], False)
    else:  # a candidate longer than a window ends with its alphabet
        stop = end - len(text[start:end].lstrip(place.look.pattern.alphabet))
        goes_on = stop == end
    return place._replace(start=start, end=stop, goes_on=goes_on)


def _standing(places: Iterable[Place]) -> list[Place]:
    """Without those that a place of the same guard covers that is worth no less. First comes first."""
    kept: list[Place] = []
    wide: Place | None = None  # of the guard, the one that reaches furthest
    for place in sorted(places, key=_precedence):
        if wide is None or wide.look.rank != place.look.rank or place.start >= wide.end:
            kept.append(place)
            wide = place
        elif place.look.pattern.score > wide.look.pattern.score:
            kept.append(place)
            wide = max(wide, place, key=lambda one: one.end)
    return kept


def _precedence(place: Place) -> tuple[int, int, int, int]:
    return place.look.rank, place.since, -place.end, place.look.order


def _half(places: list[Place], middle: int) -> int:
    """Where a window is cut: in its middle, or behind what stands across."""
    cut = middle
    for place in sorted(places, key=lambda place: place.start):
        if place.start < cut:
            cut = max(cut, place.end)
    return cut


def _painted(places: list[Place], start: int, end: int) -> Iterator[tuple[int, int, Place | None]]:
    """A stretch in parts: each byte belongs to the first of the places that holds it.

    A place that is covered all over has a part without bytes.
    """
    if not places:
        yield start, end, None
        return
    owners = [0] * (end - start)
    for number in range(len(places), 0, -1):
        place = places[number - 1]
        owners[place.start - start : place.end - start] = [number] * (place.end - place.start)
    hidden = sorted(
        (places[number - 1].start, number) for number in {*range(1, len(places) + 1)} - {*owners}
    )
    at = start
    for owner, run in groupby(owners):
        stop = at + len([*run])
        yield at, stop, places[owner - 1] if owner else None
        while hidden and hidden[0][0] < stop:
            first, number = hidden.pop(0)
            yield first, first, places[number - 1]
        at = stop
