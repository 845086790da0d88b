"""OpenAI's embeddings: they pass, or are refused by name."""

from __future__ import annotations

import msgspec
import pytest

from calls import call_for
from gatemill.core.call import Head, Usage
from gatemill.core.errors import InvalidRequest, UnsupportedOperation, UpstreamBadReply
from gatemill.wire import embeddings


def body(**fields) -> bytes:
    return msgspec.json.encode({"model": "e", "input": "Hi", **fields})


@pytest.mark.parametrize("given", ["Hi", ["a", "b"], [1, 2], [[1], [2, 3]], ["x"] * 2048])
def test_texts_and_tokens_are_taken(given):
    assert embeddings.head(body(input=given)) == Head(model="e")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[]]}, "input.0"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": None}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
    ],
)
def test_a_mistake_is_named_by_its_place(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        embeddings.head(body(**fields))
    assert refused.value.param == param


def test_the_model_is_renamed_and_the_rest_stays():
    data = body(dimensions=5)
    head = embeddings.head(data)
    assert embeddings.native(data, head, "e", stream_usage=True) is data
    renamed = embeddings.native(data, head, "theirs", stream_usage=True)
    assert renamed == data.replace(b'"e"', b'"theirs"')


def test_usage_is_that_of_the_prompt():
    said = b'{"data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}'
    assert embeddings.usage(said) == Usage(input=7)
    with pytest.raises(UpstreamBadReply):
        embeddings.usage(b'{"choices":[]}')


def test_there_is_no_other_way_than_the_native_one():
    call = call_for(embeddings, {"model": "e", "input": "Hi"})
    for attempt in (
        lambda: embeddings.passage(call.head),
        lambda: embeddings.to_chat(call.body, call),
        lambda: embeddings.from_chat({}, call, Usage()),
        lambda: embeddings.writer(call),
    ):
        with pytest.raises(UnsupportedOperation):
            attempt()


@pytest.mark.parametrize(
    ("said", "user"),
    [({}, ""), ({"user": "u"}, "u"), ({"user": "u", "safety_identifier": "s"}, "s")],
)
def test_the_head_names_the_end_user(said, user):
    assert embeddings.head(body(input="a", **said)).user == user
