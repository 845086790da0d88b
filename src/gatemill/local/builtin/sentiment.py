"""builtin/sentiment: positive, neutral or negative, by a lexicon. Rule: pure; few words found, little confidence."""

from __future__ import annotations

import functools
import math
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.local.builtin import labels
from gatemill.local.builtin.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gatemill.core.ports import Json

LABELS = ("positive", "neutral", "negative")
_ENDINGS = ("s", "es", "d", "ed", "ing", "ly", "er", "est", "ness", "fully")
_INFLECTED_MIN, _BASE_MIN = 4, 3  # letters of what is taken apart, and of what may be left
_REACH = 3  # words that a negator or an adverb reaches ahead
_TURNED = (
    -0.9
)  # "not good" is a little less bad than "good" is good, and bad enough to decide alone
_STRONGER, _WEAKER = 1.4, 0.6
_BEFORE_BUT, _AFTER_BUT = 0.6, 1.3  # what comes after "but" is what is meant
_MOST = 4.0  # no text is surer than this
_STEEPNESS = 0.8  # of the confidence
_NEUTRAL = 0.6  # what a text without any word has for itself; below it nothing is positive


class Lexicon(Struct, frozen=True):
    """What words are worth, from -3 to 3."""

    version: str
    values: Mapping[tuple[str, ...], float]  # of words and phrases
    negators: frozenset[str]
    stronger: frozenset[str]
    weaker: frozenset[str]
    contrast: frozenset[str]
    longest: int  # words of the longest phrase


@functools.cache
def lexicon() -> Lexicon:
    """The shipped one; read when it is first needed."""
    data = files("gatemill").joinpath("data", "sentiment.toml").read_text("utf-8")
    told = tomllib.loads(data)
    values: dict[tuple[str, ...], float] = {}
    for sign, side in ((1, "positive"), (-1, "negative")):
        for strength, listed in told[side].items():
            for word in listed.split():
                values[tuple(word.split("-"))] = sign * float(strength)
        for line in told["phrases"][side].strip().splitlines():
            phrase, _, value = line.rpartition("=")
            values[tuple(phrase.split())] = float(value)
    turning = told["turning"]
    return Lexicon(
        version=told["version"],
        values=values,
        negators=frozenset(turning["negators"].split()),
        stronger=frozenset(turning["stronger"].split()),
        weaker=frozenset(turning["weaker"].replace("-", " ").split()),
        contrast=frozenset(turning["contrast"].split()),
        longest=max(map(len, values)),
    )


def answer(body: bytes, now_s: float) -> Json:
    """The answer to a predict request that has been checked."""
    return labels.answer(body, "builtin/sentiment", lexicon().version, classify)


def classify(text: str) -> dict[str, float]:
    """How likely each label is; they add up to 1."""
    value = max(-_MOST, min(_MOST, _value(words(text)))) * _STEEPNESS
    weights = (math.exp(value), math.exp(_NEUTRAL), math.exp(-value))
    total = sum(weights)
    return {label: round(weight / total, 4) for label, weight in zip(LABELS, weights, strict=True)}


def _value(found: Sequence[str]) -> float:
    """What all words of a text are worth together."""
    known = lexicon()
    total, at, turned = 0.0, 0, len(found)
    hits: list[tuple[int, float]] = []
    while at < len(found):
        if found[at] in known.contrast:
            turned = at
        value, length = _listed(known, found, at)
        if value:
            hits.append((at, value * _weight(known, found, at)))
        at += length
    for place, value in hits:
        if turned < len(found):
            total += value * (_BEFORE_BUT if place < turned else _AFTER_BUT)
        else:
            total += value
    return total


def _listed(known: Lexicon, found: Sequence[str], at: int) -> tuple[float, int]:
    """The value of the phrase or word at a place, 0 where none is listed; and how many words it has."""
    for length in range(min(known.longest, len(found) - at), 1, -1):
        value = known.values.get(tuple(found[at : at + length]))
        if value is not None:
            return value, length
    word = found[at]
    value = known.values.get((word,))
    if value is None and len(word) > _INFLECTED_MIN:
        forms = (known.values.get((form,)) for form in _base_forms(word))
        value = next((each for each in forms if each is not None), None)
    return value or 0.0, 1


def _base_forms(word: str) -> Iterator[str]:
    """What the word may be an inflection of."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _BASE_MIN:
            base = word[: -len(ending)]
            yield base
            yield f"{base}e"
            if base[-1] == base[-2]:
                yield base[:-1]
            if base[-1] == "i":
                yield f"{base[:-1]}y"


def _weight(known: Lexicon, found: Sequence[str], at: int) -> float:
    """What the words before a place make of the value there."""
    weight = 1.0
    for word in found[max(0, at - _REACH) : at]:
        if word in known.negators:
            weight = _TURNED if weight > 0 else 1.0  # twice is not at all
        elif word in known.stronger:
            weight *= _STRONGER
        elif word in known.weaker:
            weight *= _WEAKER
    return weight
