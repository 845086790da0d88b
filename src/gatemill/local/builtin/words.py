"""Words and sentences of a text. Rule: a few rules for English that do no harm elsewhere; linear in the text."""

from __future__ import annotations

import re

# Words that say nothing of what a text is about.
_STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being below between both but by
can could did do does doing down during each few for from further had has have having he her here hers him his how
i if in into is it its itself just may me might more most must my no nor not now of off on once only or other our
ours out over own please same shall she should so some such than that the their theirs them then there these they
this those through to too under until up upon us very was we were what when where which while who whom whose why
will with within would you your yours tell explain describe
"""
STOP = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
# The end of a sentence keeps its marks; an empty line, and the next item of a list, end one, too.
_SENTENCE_END = re.compile(
    r"([.!?\u3002\uff01\uff1f][\"'\u201d\u2019)\]]{0,2})\s+|\n\s*\n|\n(?=\s*(?:[-*#>|]|\d{1,3}[.)]\s))"
)
# After these a dot ends no sentence.
_SHORT = re.compile(
    r"(?:\b(?i:e\.g|i\.e|a\.m|p\.m|etc|vs|cf|mr|mrs|ms|dr|prof|st|no|fig|approx|inc|ltd)|\b[A-Z])\.$"
)
_SHORT_CHARS = 12  # at the end of a sentence, where such a word is looked for
_JOINED_CHARS_MAX = 1_000  # a longer one takes nothing more


def words(text: str) -> list[str]:
    """The words in lower case, with their apostrophes."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


def stem(word: str) -> str:
    """The word without the commonest English endings; words of the same kind mostly meet."""
    if len(word) > 4:
        if word.endswith(("'s", "'d")):
            word = word[:-2]
        for ending, put in (
            ("ies", "y"),
            ("sses", "ss"),
            ("ing", ""),
            ("ed", ""),
            ("es", "e"),
            ("s", ""),
        ):
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                if ending == "s" and word.endswith(("ss", "us", "is")):
                    break
                word = word[: len(word) - len(ending)] + put
                break
    if len(word) > 3 and word[-1] == "e":
        return word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        return word[:-1]  # stopped -> stopp -> stop
    return word


def terms(text: str) -> list[str]:
    """Stems of the words that say something; of all words where none does."""
    found = words(text)
    telling = [stem(word) for word in found if word not in STOP]
    return telling or [stem(word) for word in found]


def sentences(text: str) -> list[str]:
    """The sentences, headings and list items in order, without the white space around them."""
    found: list[str] = []
    pieces = _SENTENCE_END.split(text)  # texts, and between them what ends them, or None
    for body, end in zip(pieces[::2], [*pieces[1::2], None], strict=True):
        if not (piece := " ".join((body + (end or "")).split())):
            continue
        last = found[-1] if found else ""
        if len(last) < _JOINED_CHARS_MAX and _SHORT.search(last[-_SHORT_CHARS:]):
            found[-1] = f"{found[-1]} {piece}"
        else:
            found.append(piece)
    return found
