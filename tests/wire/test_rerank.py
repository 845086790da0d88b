"""Rerank: Cohere's and Jina's requests pass, and usage is read under every name it has."""

from __future__ import annotations

import msgspec
import pytest

from calls import call_for
from gatemill.core.call import Head, Usage
from gatemill.core.errors import InvalidRequest, UnsupportedOperation, UpstreamBadReply
from gatemill.wire import rerank

RESULTS = [{"index": 0, "relevance_score": 0.5}]


def body(**fields) -> bytes:
    return msgspec.json.encode({"model": "m", "query": "q", "documents": ["a"], **fields})


def test_texts_and_objects_are_documents():
    read = rerank.read(body(documents=["a", {"text": "b", "id": 7}]))
    assert read.texts == ["a", "b"]
    assert rerank.head(body(user="ada", max_tokens_per_doc=5)) == Head(model="m", user="ada")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["x"] * 1001}, "documents"),
        ({"documents": ["a", " "]}, "documents.1"),
        ({"documents": [{"text": ""}]}, "documents.0"),
        ({"documents": [{"body": "a"}]}, "documents.0.text"),
        ({"documents": [1]}, "documents.0"),
        ({"documents": ["x" * 100_001]}, "documents.0"),
        ({"top_n": 0}, "top_n"),
        ({"model": ""}, "model"),
    ],
)
def test_a_mistake_is_named_by_its_place(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        rerank.head(body(**fields))
    assert refused.value.param == param


def test_the_model_is_renamed_and_the_rest_stays():
    data = body(max_tokens_per_doc=5)
    head = rerank.head(data)
    assert rerank.native(data, head, "m", stream_usage=True) is data
    renamed = rerank.native(data, head, "theirs", stream_usage=True)
    assert renamed == data.replace(b'"m"', b'"theirs"')


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"usage": {"prompt_tokens": 7, "total_tokens": 7}}, Usage(input=7)),
        ({"usage": {"total_tokens": 9}}, Usage(input=9)),
        ({"usage": {}}, None),
        ({"meta": {"tokens": {"input_tokens": 5, "output_tokens": 1}}}, Usage(input=5, output=1)),
        ({"meta": {"billed_units": {"input_tokens": 4}}}, Usage(input=4)),
        ({"meta": {"billed_units": {"search_units": 1}}}, None),
        ({"meta": {"api_version": {"version": "2"}}}, None),
        ({}, None),
    ],
)
def test_usage_is_read_under_all_its_names(said, usage):
    assert rerank.usage(msgspec.json.encode({"results": RESULTS, **said})) == usage


@pytest.mark.parametrize(
    "said",
    [
        *(b"no", b"{}", b'{"results":[{"index":"x"}]}', b'{"error":"x"}'),
        b'{"results":[],"meta":{"tokens":{"input_tokens":1e30}}}',
    ],
)
def test_what_is_no_answer_is_refused(said):
    with pytest.raises(UpstreamBadReply):
        rerank.usage(said)


def test_there_is_no_other_way_than_the_native_one():
    call = call_for(rerank, body())
    for attempt in (
        lambda: rerank.to_chat(call.body, call),
        lambda: rerank.from_chat({}, call, Usage()),
        lambda: rerank.writer(call),
        lambda: rerank.passage(call.head),
    ):
        with pytest.raises(UnsupportedOperation, match="rerank"):
            attempt()
