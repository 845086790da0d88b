"""What stands on the card of each built-in model. Rule: the figures are those that a test pins."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

PROVIDER = "builtin"


class Card(Struct, frozen=True):
    """What a model is, what it is not, and how good it is."""

    name: str  # below `builtin/`
    task: str  # one of core.model.TASKS
    version: str
    path: str  # where it is asked, below base_url
    module: str  # of this package: what answers
    about: str
    not_for: str
    measured: str
    limits: str


CARDS = {
    card.name: card
    for card in (
        Card(
            name="extract",
            task="generate",
            version="1",
            path="/chat/completions",
            module="extract",
            about=(
                "Quotes the sentences of what it is sent that fit the question best, each with the number"
                " of its passage; of a text without a question, the sentences that stand for the rest."
            ),
            not_for=(
                "It writes no word of its own: no chat, no reasoning, no paraphrase, no translation, no"
                " JSON, no tools. It finds sentences that share words with the question, and no others."
            ),
            measured="Every sentence of its answers stands in what it was sent, word for word (tested).",
            limits="Answers end at max_tokens, 300 where none is given, and hold at most 40 sentences.",
        ),
        Card(
            name="sentiment",
            task="classify",
            version="1",
            path="/predict",
            module="sentiment",
            about=(
                "Counts English words that praise or blame, turned around by negation and weighed by"
                " words such as very; answers positive, neutral or negative."
            ),
            not_for=(
                "It does not understand: irony, comparisons, other languages and the words of a trade"
                " mislead it. Texts with few such words get a low confidence; treat them as unknown."
            ),
            measured=(
                "65 of 90 short English sentences right (72 %), which were written apart from the lexicon;"
                " 25 of the 27 with a confidence from 0.7 on."
            ),
            limits="Reads the first 20,000 characters of a text.",
        ),
        Card(
            name="moderation",
            task="classify",
            version="1",
            path="/predict",
            module="moderation",
            about=(
                "Looks for phrases in which people threaten, hate or ask for harm, in English and German;"
                " a score for each of the 13 categories of /v1/moderations. Also asked at /v1/predict."
            ),
            not_for=(
                "It is a first net and no moderation model: it knows phrases and not what they mean. Whoever"
                " says it in other words, another language, letters with gaps or a picture passes, and a"
                " quotation counts like a threat. Where it matters, name a model that was trained for it."
            ),
            measured=(
                "42 of 52 harmful sentences found (81 %), and 0 of 40 harmless ones flagged, which were not"
                " looked at while its phrases were written; they are short and by the same hand, so that"
                " texts of strangers will do worse."
            ),
            limits="Texts up to 20,000 characters, 256 in one request.",
        ),
        Card(
            name="hash-512",
            task="embed",
            version="1",
            path="/embeddings",
            module="hash512",
            about=(
                "A unit vector of 512 numbers from the words, pairs of words and pieces of words of a text:"
                " near texts share words."
            ),
            not_for=(
                "It knows no meaning: car and automobile are as far apart as any two words. It is for trying"
                " the interface and for finding near copies, and no search should be built on it."
            ),
            measured="Recall at 1 of 0.37 where BM25 has 0.66 (800 docstrings; research of 2026-11-20).",
            limits="Texts up to 100,000 characters, 2,000,000 in one request; 512 dimensions only.",
        ),
        Card(
            name="lexical",
            task="rerank",
            version="1",
            path="/rerank",
            module="lexical",
            about="BM25 over the documents of the request: rare words of the query count most.",
            not_for=(
                "It knows no meaning and no synonyms; scores of two requests cannot be compared. Where a"
                " keyword search made the list, it changes little."
            ),
            measured="It is BM25 (k1 1.2, b 0.75), with scores brought between 0 and 1.",
            limits="1,000 documents of 100,000 characters.",
        ),
    )
}


def told(name: str) -> dict[str, Any] | None:
    """The card as the API shows it; None where no built-in model has the name."""
    card = CARDS.get(name)
    if card is None:
        return None
    return {
        "task": card.task,
        "version": card.version,
        "about": card.about,
        "not_for": card.not_for,
        "measured": card.measured,
        "limits": card.limits,
    }
