"""wire/moderations.py: both ways to an answer, and answers that are none. Stories are in tests/story."""

from __future__ import annotations

import msgspec
import pytest

import openai_contract
from gatemill.core.call import Attempt, Usage
from gatemill.core.errors import (
    InvalidValue,
    UnsupportedOperation,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gatemill.wire import moderations
from gatemill.wire.harms import CATEGORIES
from gatemill.wire.moderations import Moderations
from playbook import call, target

SURFACE = Moderations("judge")


def encoded(body):
    return msgspec.json.encode(body)


def asked(**head):
    found = call()
    found.operation = "moderations"
    found.head = SURFACE.head(encoded({"input": "x", **head}))
    found.attempts = [Attempt(target(), 1, 0.0)]
    return found


def reshaped(body):
    made = msgspec.json.decode(moderations.reshaped(encoded(body), asked()))
    openai_contract.validate("CreateModerationResponse", made)
    return made


def test_the_configured_model_is_named_to_the_upstream():
    body = encoded({"input": "x", "extra": 1})
    head = SURFACE.head(body)
    assert head.model == "judge"
    sent = msgspec.json.decode(SURFACE.native(body, head, "omni", stream_usage=True))
    assert sent == {"input": "x", "extra": 1, "model": "omni"}


def test_a_model_that_was_named_is_renamed():
    body = encoded({"input": "x", "model": "mine"})
    head = SURFACE.head(body)
    assert head.model == "mine"
    assert msgspec.json.decode(SURFACE.native(body, head, "omni", stream_usage=True)) == {
        "input": "x",
        "model": "omni",
    }
    assert SURFACE.native(body, head, "mine", stream_usage=True) == body


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], ["a\nb"]),
    ],
)
def test_a_classifier_is_asked_for_all_its_labels(given, texts):
    sent = msgspec.json.decode(moderations.as_predict(encoded({"input": given}), "toxic-bert"))
    assert sent == {"model": "toxic-bert", "input": texts, "top_k": 1000}


def test_a_classifier_reads_no_pictures_and_no_books():
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(UnsupportedParameter) as refused:
        moderations.as_predict(encoded({"input": [picture]}), "m")
    assert refused.value.param == "input.0"
    for given, param in (("x" * 20_001, "input"), (["a", "x" * 20_001], "input.1")):
        with pytest.raises(InvalidValue) as refused:
            moderations.as_predict(encoded({"input": given}), "m")
        assert refused.value.param == param


def prediction(label, confidence, **scores):
    shown = [{"label": name, "score": score} for name, score in scores.items()]
    return {"label": label, "confidence": confidence, "scores": shown}


def test_labels_become_categories():
    said = {
        "predictions": [
            prediction("toxic", 0.9, toxic=0.9, threat=0.6),
            prediction("safe", 0.8, safe=0.8, toxic=0.2),
            prediction("jailbreak", 0.7),
        ],
        "usage": {"prompt_tokens": 3},
    }
    made = reshaped(said)
    first, second, third = made["results"]
    assert [one["flagged"] for one in made["results"]] == [True, False, True]
    assert first["category_scores"]["harassment"] == 0.9
    assert first["categories"]["harassment/threatening"]
    assert second["category_scores"]["harassment"] == 0.2
    assert third["categories"]["jailbreak"]
    assert made["model"] == "judge"
    assert made["usage"] == {"prompt_tokens": 3}
    assert SURFACE.usage(encoded(said)) == Usage(input=3)
    assert SURFACE.usage(encoded(made)) == Usage(input=3)


def test_a_classifier_of_something_else_is_refused_and_never_calls_a_text_harmless():
    with pytest.raises(UnsupportedOperation, match="name no harm"):
        reshaped({"predictions": [prediction("positive", 0.9, positive=0.9, negative=0.1)]})


def native(**changes):
    whole = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.0),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
    return {"id": "modr-1", "model": "omni", "results": [{**whole, **changes}]}


def test_a_whole_answer_comes_as_it_was():
    body = encoded(native(more=1))
    assert moderations.reshaped(body, asked()) == body
    assert SURFACE.usage(body) is None


def test_what_a_vendor_leaves_out_is_put_in():
    made = reshaped(
        {
            "results": [
                {
                    "categories": {"selfharm": True, "pii": False},
                    "category_scores": {"selfharm": 0.9, "pii": 0.1},
                }
            ]
        }
    )
    (result,) = made["results"]
    assert result["flagged"]
    assert result["categories"]["self-harm"]
    assert result["category_scores"]["pii"] == 0.1
    assert made["id"].startswith("modr-")


def test_what_a_vendor_calls_flagged_stays_so():
    answer = native(flagged=True)
    del answer["results"][0]["category_scores"]["hate"]
    assert reshaped(answer)["results"][0]["flagged"]


def test_a_flagged_category_counts_whatever_its_score():
    answer = native(categories={"hate": True, "violence": False}, category_scores={"hate": 0.3})
    assert moderations.scores(encoded(answer)) == [{"hate": 0.5}]


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"{}",
        b'{"results": []}',
        b'{"results": [5]}',
        b'{"error": {"message": "x"}}',
        b'{"results": [{"flagged": true}]}',
    ],
)
def test_an_answer_that_is_none(body):
    with pytest.raises(UpstreamBadReply):
        SURFACE.usage(body)
    with pytest.raises(UpstreamBadReply):
        moderations.reshaped(body, asked())


def test_a_prediction_that_is_none():
    with pytest.raises(UpstreamBadReply):
        moderations.reshaped(b'{"predictions": [{"label": 5}]}', asked())


@pytest.mark.parametrize("way", ["passage", "to_chat", "from_chat", "writer"])
def test_it_has_no_other_way(way):
    arguments = {
        "passage": (None,),
        "to_chat": (b"", None),
        "from_chat": ({}, None, Usage()),
        "writer": (None,),
    }
    with pytest.raises(UnsupportedOperation, match="does not moderate"):
        getattr(SURFACE, way)(*arguments[way])
