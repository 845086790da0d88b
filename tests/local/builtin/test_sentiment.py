"""builtin/sentiment: what it is worth, measured, and its rules one by one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from gatemill.local.builtin import cards, sentiment

SENTENCES = tomllib.loads(Path(__file__).with_name("sentences.toml").read_text("utf-8"))


def best(text):
    scores = sentiment.classify(text)
    label = max(scores, key=scores.__getitem__)
    return label, scores[label]


def test_the_card_says_what_is_measured():
    told = {text: (label, *best(text)) for label, texts in SENTENCES.items() for text in texts}
    right = [text for text, (label, found, _) in told.items() if found == label]
    sure = [text for text, (_, _, confidence) in told.items() if confidence >= 0.7]
    right_of_sure = [text for text in sure if text in right]
    assert {label: len(texts) for label, texts in SENTENCES.items()} == dict.fromkeys(
        sentiment.LABELS, 30
    )
    card = cards.CARDS["sentiment"]
    assert f"{len(right)} of {len(told)} short English sentences right" in card.measured
    assert f"({100 * len(right) / len(told):.0f} %)" in card.measured
    assert f"{len(right_of_sure)} of the {len(sure)} with a confidence from 0.7" in card.measured
    assert card.version == sentiment.lexicon().version


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("good", "positive"),
        ("not good", "negative"),
        ("not bad", "positive"),
        ("It doesn't disappoint", "positive"),
        ("never again", "negative"),
        ("I highly recommend it", "positive"),
        ("the box is blue", "neutral"),
        ("", "neutral"),
        ("LOVED", "positive"),
        ("disappointingly", "negative"),
        ("happiest", "positive"),
        ("The food was good, but the service was terrible", "negative"),
        ("first-rate", "positive"),
        ("don\u2019t like", "negative"),
        ("made of wool", "neutral"),
        ("please", "neutral"),
    ],
)
def test_words_and_what_turns_them(text, label):
    assert best(text)[0] == label


def test_adverbs_make_it_stronger_and_weaker():
    plain, very, rather = (best(f"{word} nice")[1] for word in ("is", "very", "rather"))
    assert rather < plain < very


def test_few_words_give_little_confidence_and_no_text_gives_certainty():
    assert best("nothing is said here of anything")[1] < 0.5
    assert best("excellent " * 50)[1] < 0.95
    assert sum(sentiment.classify("fine").values()) == pytest.approx(1, abs=2e-4)


def test_a_long_text_is_read_as_far_as_the_card_says():
    text = "word " * 4000 + "excellent"
    asked = msgspec.json.encode({"input": text, "top_k": 2})
    (prediction,) = sentiment.answer(asked, 0.0)["predictions"]
    assert (prediction["label"], prediction["truncated"]) == ("neutral", True)
    assert prediction["scores"][0]["label"] == "neutral"
    assert len(prediction["scores"]) == 2
