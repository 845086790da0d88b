"""Predict in both its forms: what is taken, what goes out, what comes back."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from calls import call_for
from gatemill.core.call import Attempt, Head, Usage
from gatemill.core.errors import InvalidRequest, UnsupportedOperation, UpstreamBadReply
from gatemill.wire import predict, predict_text
from gatemill.wire.predict_text import PredictText
from targets import TARGET

SHORT = PredictText("m/default")
LONG = "x" * (predict.TEXT_CHARS_MAX + 1)
ANSWER = {
    "model": "theirs",
    "version": "7",
    "predictions": [
        {"label": "a", "confidence": 0.9, "scores": [{"label": "a", "score": 0.9}]},
        {"label": "b", "confidence": 0.8, "truncated": False},
    ],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


def body(**fields) -> bytes:
    return msgspec.json.encode({"model": "m", "input": "Hi", **fields})


def answered(surface, said, target=TARGET, version=""):
    """A call that has been answered by `target`."""
    call = call_for(surface, said)
    call.attempts = [Attempt(target, 1, 10.0)]
    call.version = version
    return call


@pytest.mark.parametrize("given", ["Hi", ["a", "b"], ["x"] * 256, "x" * 20_000])
def test_texts_are_taken(given):
    assert predict.head(body(input=given)) == Head(model="m")


def test_the_head_says_whose_features_and_which_user():
    head = predict.head(body(entities={"user": "u1"}, user="ada", features={"a": 1}))
    assert (head.entities, head.user) == ((("user", "u1"),), "ada")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input.1"),
        ({"input": ["x"] * 257}, "input"),
        ({"input": 1}, "input"),
        ({"input": [["a"]]}, "input.0"),
        ({"input": LONG}, "input"),
        ({"input": ["a", LONG], "truncate": False}, "input.1"),
        ({"top_k": 0}, "top_k"),
        ({"model": ""}, "model"),
        ({"entities": {str(n): "x" for n in range(9)}}, "entities"),
        ({"stream": True}, "stream"),
        ({"top_n": 1}, "top_n"),
    ],
)
def test_a_mistake_is_named_by_its_place(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        predict.head(body(**fields))
    assert refused.value.param == param


def test_the_limit_on_a_text_is_named_with_both_remedies():
    with pytest.raises(InvalidRequest, match=r"20001 characters; 20000 are the most.*truncate"):
        predict.head(body(input=LONG))


def test_the_model_is_renamed_and_the_rest_stays():
    data = body(top_k=2)
    head = predict.head(data)
    assert predict.native(data, head, "m", stream_usage=True) is data
    renamed = predict.native(data, head, "theirs", stream_usage=True)
    assert renamed == data.replace(b'"m"', b'"theirs"')


def test_a_long_text_goes_out_cut_where_that_was_asked():
    data = body(input=["a", LONG], truncate=True)
    sent = msgspec.json.decode(
        predict.native(data, predict.head(data), "theirs", stream_usage=True)
    )
    assert sent["model"] == "theirs"
    assert [len(text) for text in sent["input"]] == [1, 20_000]
    call = answered(predict, data)
    told = msgspec.json.decode(predict.reshaped(msgspec.json.encode(ANSWER), call))
    assert [each.get("truncated") for each in told["predictions"]] == [None, True]


def test_an_answer_says_the_name_that_was_asked_its_version_and_its_arm():
    plain = msgspec.json.decode(
        predict.reshaped(msgspec.json.encode(ANSWER), answered(predict, body()))
    )
    assert (plain["model"], plain["version"], plain["object"]) == ("m", "7", "list")
    assert "arm" not in plain
    registered = replace(TARGET, version="mood:3")
    call = answered(predict, body(), registered, "left")
    told = msgspec.json.decode(predict.reshaped(msgspec.json.encode(ANSWER), call))
    assert (told["version"], told["arm"]) == ("mood:3", "left")
    bare = {"predictions": ANSWER["predictions"]}
    told = msgspec.json.decode(
        predict.reshaped(msgspec.json.encode(bare), answered(predict, body()))
    )
    assert told["version"] is None


def test_usage_is_that_of_the_texts():
    assert predict.usage(msgspec.json.encode(ANSWER)) == Usage(input=3)
    assert predict.usage(b'{"predictions":[{"label":"a","confidence":1}]}') is None


@pytest.mark.parametrize(
    "said",
    [
        b"no",
        b"{}",
        b'{"predictions":[]}',
        b'{"predictions":[{"label":1,"confidence":1}]}',
        b'{"error":{"message":"x"},"predictions":[]}',
        b'{"error":{"message":"x"}}',
    ],
)
def test_what_is_no_answer_is_refused(said):
    with pytest.raises(UpstreamBadReply):
        predict.usage(said)
    with pytest.raises(UpstreamBadReply):
        predict_text.reshaped(said, answered(SHORT, b'{"text":"x"}'))


def test_a_prediction_that_is_no_object_cannot_be_marked():
    call = answered(predict, body(input=[LONG], truncate=True))
    with pytest.raises(UpstreamBadReply):
        predict.reshaped(b'{"predictions":["a"]}', call)
    fewer = predict.reshaped(b'{"predictions":[]}', call)
    assert msgspec.json.decode(fewer)["predictions"] == []


def test_the_short_form_is_the_long_one_in_fewer_words():
    said = b'{"text":"Hi"}'
    assert SHORT.head(said) == Head(model="m/default")
    assert SHORT.head(b'{"text":"Hi","model":"other"}') == Head(model="other")
    sent = msgspec.json.decode(SHORT.native(said, SHORT.head(said), "theirs", stream_usage=True))
    assert sent == {"model": "theirs", "input": "Hi"}
    assert predict.head(msgspec.json.encode(sent)).model == "theirs"
    assert SHORT.usage(msgspec.json.encode(ANSWER)) == Usage(input=3)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        (b"{}", "text"),
        (b'{"text":""}', "text"),
        (b'{"text":"x","models":"m"}', "models"),
        (msgspec.json.encode({"text": LONG}), "text"),
    ],
)
def test_a_mistake_in_the_short_form_is_named(said, param):
    with pytest.raises(InvalidRequest) as refused:
        SHORT.head(said)
    assert refused.value.param == param


def test_the_short_answer_says_exactly_what_answered():
    data = msgspec.json.encode(ANSWER)

    def told(target, answer=data):
        return msgspec.json.decode(
            predict_text.reshaped(answer, answered(SHORT, b'{"text":"x"}', target))
        )

    assert told(TARGET) == {
        "label": "a",
        "confidence": 0.9,
        "model_version": f"{TARGET.label}:7",
    }
    assert told(replace(TARGET, version="mood:3"))["model_version"] == "mood:3"
    bare = msgspec.json.encode({"predictions": ANSWER["predictions"]})
    assert told(TARGET, bare)["model_version"] == TARGET.label


@pytest.mark.parametrize(("surface", "said"), [(predict, body()), (SHORT, b'{"text":"x"}')])
def test_there_is_no_other_way_than_the_native_one(surface, said):
    call = call_for(surface, said)
    for attempt in (
        lambda: surface.to_chat(said, call),
        lambda: surface.from_chat({}, call, Usage()),
        lambda: surface.writer(call),
        lambda: surface.passage(call.head),
    ):
        with pytest.raises(UnsupportedOperation, match="builtin/sentiment"):
            attempt()
