"""The categories of harm that a moderation tells of, and the names that others have for them.

Rule: data, and how to look it up. A label that nobody here knows is no category: it never makes a
text harmless, and never harmful.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

V = TypeVar("V", bool, float)

# OpenAI's, in the order of its document.
CATEGORIES = (
    "hate",
    "hate/threatening",
    "harassment",
    "harassment/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
NAMES = frozenset(CATEGORIES)
JAILBREAK = "jailbreak"  # what classifiers of attacks on models find; OpenAI has no category for it

_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_OTHER_NAMES = {
    "hate": "hateful hate-speech identity-hate identity-attack racism discrimination"
    " hate-and-discrimination",
    "harassment": "toxic toxicity severe-toxic severe-toxicity insult obscene offensive profanity"
    " abuse abusive bullying harmful unsafe",
    "harassment/threatening": "threat threatening",
    "illicit": "illegal crime criminal drugs dangerous dangerous-and-criminal-content",
    "illicit/violent": "weapons terrorism",
    "self-harm": "selfharm suicide",
    "sexual": "sexual-explicit sexual-content sexually-explicit explicit nsfw porn",
    "sexual/minors": "csam child-sexual-exploitation",
    "violence": "violent violent-content violence-and-threats",
    "violence/graphic": "gore graphic-violence",
    JAILBREAK: "jailbreaking injection prompt-injection malicious",
}


def _plain(label: str) -> str:
    return _PUNCTUATION.sub("-", label.lower()).strip("-")


_BY_LABEL = {_plain(name): name for name in (*CATEGORIES, JAILBREAK)} | {
    other: name for name, others in _OTHER_NAMES.items() for other in others.split()
}


def category_of(label: str) -> str | None:
    """The category that a label means; None where it means none."""
    return _BY_LABEL.get(_plain(label))


def meant(kind: str) -> str | None:
    """The category that this is another name of, or misspells; None for one that may stand.

    Models have categories of their own, so not every unknown one is a mistake.
    """
    if kind in _BY_LABEL.values():
        return None
    near = difflib.get_close_matches(kind, _BY_LABEL.values(), n=1, cutoff=0.8)
    return category_of(kind) or next(iter(near), None)


def scores(shown: Mapping[str, float]) -> dict[str, float] | None:
    """The scores of a classifier's labels by category, the highest of each; None without any."""
    found: dict[str, float] = {}
    for label, score in shown.items():
        name = category_of(label)
        if name is not None:
            found[name] = max(found.get(name, 0.0), score)
    return found or None


def renamed(values: Mapping[str, V]) -> dict[str, V]:
    """A vendor's values under the names known here; those without one keep theirs."""
    found: dict[str, V] = {}
    for label, value in values.items():
        name = category_of(label) or label
        found[name] = max(found[name], value) if name in found else value
    return found
