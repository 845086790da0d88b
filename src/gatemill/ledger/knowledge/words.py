"""The words of a query. Rule: pure; nothing that a caller writes is syntax of a database.

No language is assumed: words are runs of letters and digits of any script, and no endings are cut.
A script without spaces (Chinese, Japanese, Thai) gives one long word, which finds little: there vectors
must do the work.
"""

from __future__ import annotations

import re

WORDS_MAX = 32  # of one query; the rest is left out
_CHARS_MAX = 64  # of one word
_WORD = re.compile(r"\w+")

# So common in English that they tell nothing, and cost most: left out when other words remain.
COMMON = frozenset(
    [
        "a",
        "about",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "shall",
        "should",
        "so",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


def words(query: str) -> list[str]:
    """The words that are looked for, in their order and each once; none when there are no letters."""
    found = list(dict.fromkeys(word[:_CHARS_MAX] for word in _WORD.findall(query.lower())))
    telling = [word for word in found if word.strip("_") and word not in COMMON]
    return (telling or [word for word in found if word.strip("_")])[:WORDS_MAX]
