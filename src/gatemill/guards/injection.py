"""Orders to a model in texts that should hold none: prompt injection, jailbreaks, hidden characters.

Rule: signs with scores, never a ban on words. Of each kind the strongest sign in a text counts; their
sum must reach the threshold. What is weak alone, because honest texts say it too, needs company.
It is a first net: whoever words an order as nobody has before gets through (docs/guides/moderate.md).
"""

from __future__ import annotations

import functools
import re
from itertools import groupby
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue
from gatemill.core.guard import Pattern
from gatemill.policy.expressions import BREAK, LETTER, Late
from gatemill.policy.injection_words import PHRASES, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NAME = "injection"
KINDS = ("instruction", "persona", "pressure", "prompt", "marker", "markup", "hidden")
THRESHOLD = 0.7
FINDING_BYTES_MAX = 300  # a candidate with more is none: nobody gives an order in so many words

# Between the words of a phrase: white space, what emphasises, and spaces that nobody sees.
_GAP = (
    r"[ \t\r\n'\"*_,:`~/\-\x{a0}\x{ad}\x{2000}-\x{200f}\x{2019}\x{2028}-\x{202f}\x{2060}\x{feff}]"
)
_LETTER = r"[^\x00-\x40\x5b-\x60\x7b-\x7f]"
# The same in JSON, where quotes and line breaks are escaped; twice, in the arguments of a tool.
_JSON_GAP = rf"(?:{_GAP}|\\+[nrt\"/]|\\+u[0-9a-f]{{4}})"
_JSON_LETTER = rf"(?:{_LETTER}|\\+u[0-9a-f]{{4}})"
_LETTERS = bytes({*range(65, 91), *range(97, 123)})
_BEYOND = bytes(range(128, 256))  # of characters that are not ASCII's
_PROSE = _LETTERS + _BEYOND + b" \t\r\n'\"*_,:`~/-"
_UMLAUT = re.compile(r"[^\x00-\x7f]")
_WORD = re.compile(r"[^\W\d_]+")


def patterns(kinds: Sequence[str] = ()) -> list[Pattern]:
    """What is looked for; () is every kind. Raises InvalidValue for a kind that is none."""
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidValue(
                f"`kinds`: `{kind[:60]}` is no kind of injection. There are {', '.join(KINDS)}.",
                param="kinds",
            )
    return [pattern for pattern in _every() if not kinds or pattern.kind in kinds]


@functools.cache
def _every() -> tuple[Pattern, ...]:
    return (*(_phrases(*group) for group in PHRASES), *_signs(), *_unseen())


# --- Phrases -----------------------------------------------------------------------------------------
#
# All phrases of a group as one expression make an automaton of ten thousand states that crawls over
# every text (3 ms for 1 kB, tried). So a candidate is a rare word with its neighbours, which is found
# at the speed of a search for that word, and only candidates are compared with the phrases.

_WORDS_BEFORE, _WORDS_BEHIND = 10, 8
# A candidate has more words behind than a phrase, so that one look refuses many rare words in a row:
# a bomb of them costs one for each 20 words, not one for each word (20 times as much, tried).
_WORDS_MORE = 24
_PHRASE_WORDS_MAX = _WORDS_BEFORE + _WORDS_BEHIND + 4  # rare words may be several


def _phrases(kind: str, score: float, lines: str) -> Pattern:
    phrases = [line.split() for line in lines.splitlines() if line.strip()]
    rare = _any(_rare(steps, _GAP, _LETTER) for steps in phrases)
    compares = _Phrases(_any(_expression(steps) for steps in phrases), rare)
    return Pattern(
        kind=kind,
        expression=rf"(?i)(?:{_LETTER}+{_GAP}+){{0,{_WORDS_BEFORE}}}?{rare}"
        rf"{_LETTER}*(?:{_GAP}+{_LETTER}+){{0,{_WORDS_BEHIND + _WORDS_MORE}}}",
        alphabet=_PROSE,
        hint=f"(?i){_any(_rare(steps, _JSON_GAP, _JSON_LETTER) for steps in phrases)}",
        accept=compares,
        in_letters=_any(_firm(steps) for steps in phrases),
        score=score,
    )


class _Phrases:
    """Compares a candidate with phrases: word by word, whatever stands between the words."""

    def __init__(self, phrases: str, rare: str) -> None:
        self._phrases = Late(phrases)
        self._rare = Late(f"(?i){rare}")

    def __call__(self, before: bytes, found: bytes, behind: bytes) -> tuple[int, int] | None:
        """The phrase in a candidate; without one, the candidate is refused up to its rare word."""
        text = found.decode()
        words = [*_WORD.finditer(text)]
        plain = f" {' '.join([word[0] for word in words]).lower()} ".encode()
        match = self._phrases.search(plain)
        if match is not None:
            low, high = match
            first = plain.count(b" ", 0, low)
            last = first + plain.count(b" ", low, high) - 2
            start = len(text[: words[first].start()].encode())
            end = start + len(text[words[first].start() : words[last].end()].encode())
            in_word = first == 0 and before[-1:].isalnum()
            if end - start <= FINDING_BYTES_MAX and not in_word:
                return start, end
        rare = self._rare.search(found)
        assert rare is not None, "the candidate holds one"
        end = rare[1]
        # A phrase that begins earlier would end in here, and has not been found.
        if match is None and len(words) > _PHRASE_WORDS_MAX:
            last = words[len(words) - _PHRASE_WORDS_MAX].start()
            end = max(end, len(text[:last].encode()))
        return end, end


def _rare(steps: Sequence[str], gap: str, letter: str) -> str:
    """The marked words of a phrase, which stand side by side; without any its last word."""
    marked = [step[1:] for step in steps if step[0] == "!"] or [steps[-1].strip("[]")]
    return f"{gap}+".join(_one_of(step, gap, letter) for step in marked)


def _expression(steps: Sequence[str]) -> str:
    """A phrase over small letters, with one space around each word."""
    return " " + "".join(_step(step.removeprefix("!")) for step in steps)


def _firm(steps: Sequence[str]) -> str:
    """What must stand in a phrase side by side, over letters: its marked words, or the most that there are.

    Without words of any kind between, which would make an automaton that grows with each text.
    """
    runs = [_trimmed([*run]) for is_gap, run in groupby(steps, "~".__eq__) if not is_gap]
    marked = [run for run in runs if any(step[0] == "!" for step in run)]
    kept = max(marked or runs, key=lambda run: sum(step[0] != "[" for step in run))
    return over_letters(_expression(kept))


def over_letters(expression: str) -> str:
    """An expression over words, as one over letters (policy/expressions.letters)."""
    parts = re.split(r"(\[\^ \])", expression)
    return "".join(LETTER if part == "[^ ]" else part.replace(" ", f"{BREAK}+") for part in parts)


def _trimmed(run: list[str]) -> list[str]:
    """Without what may be missing at its ends."""
    must = [place for place, step in enumerate(run) if step[0] != "["]
    return run[must[0] : must[-1] + 1] if must else []


def _step(step: str) -> str:
    if step == "~":
        return "(?:[^ ]+ ){0,3}"
    if step[0] == "[":
        return f"(?:{_one_of(step[1:-1], ' ', '[^ ]')} )?"
    return f"{_one_of(step, ' ', '[^ ]')} "


def _any(expressions: Iterable[str]) -> str:
    return f"(?:{'|'.join(dict.fromkeys(expressions))})"


def _one_of(step: str, gap: str, letter: str) -> str:
    words = "|".join(WORDS[word[1:-1]] if word[0] == "{" else word for word in step.split("|"))
    return _any(_word(word, gap, letter) for word in words.split("|"))


def _word(word: str, gap: str, letter: str) -> str:
    ending = f"{letter}*" if word[-1] == "*" else ""
    parts = (re.escape(part) for part in re.split(r"['-]", word.removesuffix("*")))
    spelled = (gap if gap == " " else f"{gap}*").join(parts)
    if letter is _JSON_LETTER:
        spelled = _UMLAUT.sub(lambda found: rf"(?:{found[0]}|\\+u[0-9a-f]{{4}})", spelled)
    return spelled + ending


# --- Signs that are no phrases ----------------------------------------------------------------------


def _signs() -> tuple[Pattern, ...]:
    return (
        # The tokens with which models tell who speaks, and headings that play them.
        _sign(
            ("marker", 0.5),
            r"(?i)<\|(?:im_start|im_end|im_sep|system|user|assistant|start_header_id|end_header_id"
            r"|eot_id|begin_of_text|endoftext|endofprompt|end|channel|message)\|>|\[/?INST\]|<</?SYS>>"
            r"|</?start_of_turn>|<end_of_turn>|</?system(?:_prompt|-prompt|_message)?>",
            _LETTERS + b"<>|_[]/-",
            hint=r"(?i)<\|(?:im_|system|user|assistant|start_|end|eot_id|begin_of|channel|message)"
            r"|\[\\*/?INST\]|<<\\*/?SYS>>|start_of_turn>|end_of_turn>|<\\*/?system",
        ),
        _sign(
            ("marker", 0.45),
            r"(?i)(?:^|\n)[#*= \t>-]{0,8}(?:system|assistant|developer|admin)"
            r"(?: (?:message|prompt|instructions?|override|note))?[*]{0,2}[ \t]?:",
            _LETTERS + b"\n#*= \t>-:",
            hint=r"(?i)(?:system|assistant|developer|admin)"
            r"(?: (?:message|prompt|instructions?|override|note))?[*]{0,2}(?:[ \t]|\\+t)?:",
        ),
        # HTML that runs or loads something where it is shown.
        _sign(
            ("markup", 0.5),
            r"(?i)<(?:script|iframe|object|embed|base|svg|math|link|meta)[\s/>]|javascript:|vbscript:"
            r"|data:text/html|[\s\"'/]on(?:error|load|click|mouseover|focus|toggle|begin)\s{0,4}=",
            _LETTERS + b" \t\r\n\f\v<>/:=\"'",
            hint=r"(?i)<(?:script|iframe|object|embed|base|svg|math|link|meta)(?:[\s/>]|\\+[nrtfv/])"
            r"|javascript:|vbscript:|data:text\\*/html"
            r"|on(?:error|load|click|mouseover|focus|toggle|begin)(?:\s|\\+[nrtfv]){0,4}=",
        ),
        # A picture whose address carries away what the model has been told.
        _sign(
            ("markup", 0.4),
            r"\]\(https?://[^\s)]+[?&=][^\s)]+",
            bytes(range(33, 127)) + _BEYOND,
            hint=r"\]\(https?:\\*/\\*/",
            accept=_picture,
        ),
    )


def _unseen() -> tuple[Pattern, ...]:
    """Letters that nobody sees: tags (all of ASCII, invisible), orders to read backwards, no width."""
    return (
        _sign(
            ("hidden", 1.0),
            r"[\x{e0000}-\x{e007f}]{3,64}",
            _BEYOND,
            hint=r"[\x{e0000}-\x{e007f}]|\\+u[dD][bB]40",
            accept=_tags,
        ),
        _sign(
            ("hidden", 0.4),
            r"[\x{202a}-\x{202e}\x{2066}-\x{2069}]",
            _BEYOND,
            hint=r"[\x{202a}-\x{202e}\x{2066}-\x{2069}]|\\+u20(?:2[a-eA-E]|6[6-9])",
        ),
        _sign(
            ("hidden", 0.4),
            r"[\x{200b}-\x{200f}\x{2060}-\x{2064}\x{feff}]+",
            _BEYOND,
            hint=r"[\x{200b}-\x{200f}\x{2060}-\x{2064}\x{feff}]"
            r"|\\+u(?:200[b-fB-F]|206[0-4]|[fF][eE][fF][fF])",
            accept=_in_latin,
        ),
    )


def _sign(
    what: tuple[str, float],
    expression: str,
    alphabet: bytes,
    hint: str,
    accept: Callable[[bytes, bytes, bytes], tuple[int, int] | None] | None = None,
) -> Pattern:
    kind, score = what
    return Pattern(
        kind=kind,
        expression=expression,
        alphabet=alphabet,
        hint=hint,
        accept=accept,
        score=score,
    )


def _picture(before: bytes, found: bytes, behind: bytes) -> tuple[int, int] | None:
    """The address of a picture, and of no other link."""
    opened = before.rfind(b"![")
    return (0, len(found)) if opened >= 0 and b"]" not in before[opened:] else None


_FLAG = "\N{WAVING BLACK FLAG}".encode()  # tags behind it spell a country, as in the flag of Wales
_FLAG_TAGS_MAX = 7


def _tags(before: bytes, found: bytes, behind: bytes) -> tuple[int, int] | None:
    of_flag = before.endswith(_FLAG) and len(found) <= _FLAG_TAGS_MAX * 4
    return None if of_flag else (0, len(found))


def _in_latin(before: bytes, found: bytes, behind: bytes) -> tuple[int, int] | None:
    """Within a word of Latin letters, where no script needs them."""
    return (0, len(found)) if before[-1:].isalpha() and behind.isalpha() else None
