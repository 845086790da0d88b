"""builtin/moderation: harm by phrases, a first net. Rule: pure; the phrases stand in data/moderation.toml, and nothing else decides.

It knows what people say, not what they mean: see its card.
"""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.local.builtin import labels
from gatemill.wire.harms import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.ports import Json

SAFE = "safe"  # the label of what is left
_BETWEEN = r"(?:[^ ]+ ){0,3}"
_MEMORY_BYTES = 64 << 20  # of the automaton; it needs a small part of it
_INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_LETTERS = str.maketrans("013457@$", "oieastas")
_WORD = re.compile(r"[\w@$]+")


class Lexicon(Struct, frozen=True):
    """The phrases, compiled."""

    version: str
    found: Any  # re2.Set: the numbers of all phrases that a text holds
    worth: tuple[tuple[tuple[str, ...], float], ...]  # by number: categories and score


@functools.cache
def lexicon() -> Lexicon:
    """The shipped one; read when it is first needed."""
    re2: Any = import_module("re2")
    told = tomllib.loads(files("gatemill").joinpath("data", "moderation.toml").read_text("utf-8"))
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    found = re2.Set.SearchSet(options)
    worth: list[tuple[tuple[str, ...], float]] = []
    for names, by_score in told.items():
        if not isinstance(by_score, dict) or names == "words":
            continue
        for score, lines in by_score.items():
            for line in filter(None, map(str.strip, lines.splitlines())):
                found.Add(expression(line, told["words"]))
                worth.append((tuple(names.split()), float(score)))
    found.Compile()
    return Lexicon(told["version"], found, tuple(worth))


def expression(phrase: str, words: Mapping[str, str]) -> str:
    """A phrase of the file as RE2 over a plain text: words with one space around each."""
    return " " + "".join(_step(step, words) for step in phrase.split())


def _step(step: str, words: Mapping[str, str]) -> str:
    if step == "~":
        return _BETWEEN
    one_of = "|".join(
        _any_of(each, words) for each in step.removeprefix("[").removesuffix("]").split("|")
    )
    return f"(?:(?:{one_of}) )?" if step[0] == "[" else f"(?:{one_of}) "


def _any_of(word: str, words: Mapping[str, str]) -> str:
    if word[0] == "{":
        return words[word[1:-1]].replace("-", " ")
    if word[-1] == "*":
        return re.escape(word[:-1]) + "[^ ]*"
    return re.escape(word).replace(r"\-", " ")


def plain(text: str) -> str:
    """The text as words in small letters, with one space around each; digits within words are letters."""
    shown = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()
    found = (_lettered(word) for word in _WORD.findall(shown))
    return f" {' '.join(found)} ".replace("_", " ")


def _lettered(word: str) -> str:
    """`k1ll` as `kill`; a number stays one."""
    if word.isalpha() or not any(map(str.isalpha, word)):
        return word
    return word.translate(_LETTERS)


def classify(text: str) -> dict[str, float]:
    """How likely the text holds each kind of harm, from 0 to 1, each for itself."""
    known = lexicon()
    harmless = dict.fromkeys(CATEGORIES, 1.0)
    for number in known.found.Match(plain(text)) or ():
        names, score = known.worth[number]
        for name in names:
            harmless[name] *= 1 - score
    return {name: round(1 - share, 4) for name, share in harmless.items()}


def answer(body: bytes, now_s: float) -> Json:
    """The answer to a predict request that has been checked."""
    return labels.answer(body, "builtin/moderation", lexicon().version, _with_safe)


def _with_safe(text: str) -> dict[str, float]:
    scores = classify(text)
    return {**scores, SAFE: round(1 - max(scores.values()), 4)}
