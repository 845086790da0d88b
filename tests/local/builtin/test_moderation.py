"""builtin/moderation: what it is worth, measured, and how its phrases are read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from gatemill.local.builtin import cards, moderation
from gatemill.wire.harms import CATEGORIES

EXAMPLES = tomllib.loads(Path(__file__).with_name("harm_examples.toml").read_text("utf-8"))


def counted(half):
    """Harmful sentences whose category was found, all of them, harmless ones flagged, all of them."""
    told = [(name, text) for name, texts in EXAMPLES[half]["harmful"].items() for text in texts]
    harmless = EXAMPLES[half]["harmless"]
    return (
        sum(moderation.classify(text)[name] >= 0.5 for name, text in told),
        len(told),
        sum(max(moderation.classify(text).values()) >= 0.5 for text in harmless),
        len(harmless),
    )


def test_the_card_says_what_is_measured():
    found, harmful, flagged, harmless = counted("held")
    card = cards.CARDS["moderation"]
    assert (
        f"{found} of {harmful} harmful sentences found ({100 * found / harmful:.0f} %)"
        in card.measured
    )
    assert f"{flagged} of {harmless} harmless ones flagged" in card.measured
    assert card.version == moderation.lexicon().version
    assert counted("tuned") == (44, 44, 0, 36)


def test_every_category_has_phrases():
    assert {name for names, _ in moderation.lexicon().worth for name in names} == set(CATEGORIES)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I'LL   kill...you", "harassment/threatening"),
        ("i want to k1ll myself", "self-harm/intent"),
        ("I want to ki\u200bll myself", "self-harm/intent"),
        ("I want to \uff44\uff49\uff45", "self-harm/intent"),
        ("ICH WERDE DICH TÖTEN", "harassment/threatening"),
        ("a 12 year-old nude", "sexual/minors"),
    ],
)
def test_spelling_and_punctuation_make_no_difference(text, name):
    assert moderation.classify(text)[name] >= 0.5


@pytest.mark.parametrize(
    "text", ["", "42", "How do I kill a process?", "I don't want to kill myself"]
)
def test_a_topic_is_no_harm(text):
    assert max(moderation.classify(text).values()) == 0.0


def test_several_phrases_are_surer_than_one():
    once = moderation.classify("shut up you idiot")["harassment"]
    twice = moderation.classify("shut up you idiot, nobody likes you")["harassment"]
    assert once < twice < 1


def test_the_answer_is_that_of_a_prediction():
    body = msgspec.json.encode({"input": ["I will kill you", "hello"], "top_k": 2})
    made = moderation.answer(body, 0.0)
    first, second = made["predictions"]
    assert (first["label"], second["label"]) == ("harassment/threatening", "safe")
    assert second["confidence"] == 1.0
    assert len(first["scores"]) == 2
    assert made["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    (alone,) = moderation.answer(b'{"input": "x"}', 0.0)["predictions"]
    assert alone["scores"] == [{"label": "safe", "score": 1.0}]


def test_a_long_text_is_read_to_its_limit_and_says_so():
    body = msgspec.json.encode({"input": "x" * 20_000 + " I will kill you"})
    (one,) = moderation.answer(body, 0.0)["predictions"]
    assert (one["label"], one["truncated"]) == ("safe", True)
