"""The words of the guards: what is looked for, what was found, what is done about it.

Rule: data and seams only. Nothing here keeps a text longer than the request that it came with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.call import Call

MODES = ("block", "mask", "restore", "log", "off")
REMOTE = frozenset(("moderation", "http", "presidio"))  # guards that wait for somebody


class Use(Struct, frozen=True):
    """One guard at work, on one side."""

    guard: str  # a file of `guards`, "size", or one of REMOTE
    # "block" refuses; "mask" puts a label in place of what was found; "restore" does the same and takes
    # it back in the answer (input only); "log" writes it down; "off" takes away what a wider scope asks.
    mode: str
    kinds: tuple[str, ...] = ()  # of those the guard knows; () is all
    threshold: float | None = None  # score from which it counts; None: the guard's own
    chars_max: int | None = None  # of the guard "size"
    hook: str = ""  # of the guard "http": a name of [guards.hooks]

    @property
    def name(self) -> tuple[str, str]:
        """What a narrower scope replaces."""
        return self.guard, self.hook


class Uses(Struct, frozen=True):
    """What one scope asks: the configuration, a model, a team or a key."""

    input: tuple[Use, ...] = ()
    output: tuple[Use, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.input or self.output)


NOTHING = Uses()


def narrowed(wide: tuple[Use, ...], narrow: tuple[Use, ...]) -> tuple[Use, ...]:
    """The uses of a wider scope, each replaced by that of the narrower one where it names the guard."""
    found = {use.name: use for use in (*wide, *narrow)}
    return tuple(found.values())


def layered(wide: Uses, narrow: Uses) -> Uses:
    """The guards of two scopes together."""
    both = Uses(narrowed(wide.input, narrow.input), narrowed(wide.output, narrow.output))
    return both or NOTHING


class Finding(NamedTuple):
    """A place in a text. It never holds the text."""

    start: int  # in bytes of UTF-8
    end: int
    guard: str
    kind: str  # of a closed set: "card", "email", "instruction" ...
    score: float = 1.0


class Verdict(Struct, frozen=True):
    """What a guard has said of one request: goes to log, metrics, headers and the ledger's row."""

    side: str  # "input" or "output"
    guard: str
    kind: str
    mode: str
    count: int
    chars: int  # of all places together


class Pattern(Struct, frozen=True):
    """One thing that a local guard looks for in the bytes of a text.

    Whether a place is found may depend on the match, on `BEFORE_BYTES` before it and on one byte
    behind it, and on nothing else: then a stream can be cut anywhere.
    """

    kind: str
    expression: str  # RE2 over bytes; finds candidates
    # Every byte that a candidate can hold: any other ends it. b"" is any byte.
    alphabet: bytes
    # RE2 over raw JSON: found in every body that holds such a text, whatever stands around it.
    hint: str
    # (what stands before, the candidate, what stands behind) -> the part of it that counts; None: none
    # does; an empty part: none does up to there, but look again from there.
    accept: Callable[[bytes, bytes, bytes], tuple[int, int] | None] | None = None
    # RE2 over the letters of a text (policy/expressions.letters): found in all in which this is found, with
    # one sign that is no letter before and behind it. So who finds nothing there need not look. "": unknown.
    in_letters: str = ""
    # The candidate's end opens a text that goes on until this (RE2), as a private key does; it counts.
    # It is made of the alphabet and ends where it must, whatever follows.
    closes: str = ""
    score: float = 1.0
    # Found whole up to this length, whatever surrounds it; a longer one ends with its alphabet.
    bytes_max: int = 512


BEFORE_BYTES = 48


class Piece(NamedTuple):
    """Text that is decided: nothing that comes later changes it.

    A long finding comes in several pieces; guard, kind and start say that they are one, and `end` is
    as far as it is known. A finding whose text belongs to another one comes without text.
    """

    text: bytes  # of UTF-8, whole characters
    finding: Finding | None = None  # what it is; its offsets count from the beginning of the flow


class Flow(Protocol):
    """One text that comes in parts. The pieces are the same however it was cut."""

    def feed(self, text: bytes) -> Sequence[Piece]:
        """What is decided now; b"" of text at most holds back a bounded tail."""
        ...

    def finish(self) -> Sequence[Piece]:
        """The rest."""
        ...


class Remote(Protocol):
    """A guard that waits for somebody: a model, a hook, a program of another house."""

    async def judge(self, texts: Sequence[str], call: Call, side: str) -> Sequence[list[Finding]]:
        """What is found in each text, in their order; offsets in bytes of UTF-8.

        Raises GuardUnavailable when nobody answers in time or the answer is none.
        """
        ...
