"""Texts to models and back: passages, requests, answers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import ContentRefused, InvalidValue, UpstreamBadReply
from gatemill.jobs.prompting import (
    Document,
    Said,
    Wish,
    chat_body,
    check_ids,
    passages,
    said_in,
)
from gatemill.wire import chat

WORDS = st.text(st.sampled_from("ab .\nä水🌊"), max_size=400)


@given(WORDS, st.integers(4, 50))
def test_passages_joined_are_the_text_and_none_is_too_long(text: str, bytes_max: int):
    found = list(passages(text, bytes_max))
    assert "".join(found) == text
    assert all(len(each.encode()) <= bytes_max for each in found)
    assert all(found) or not text


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two\n\nthree four", "one two\n\n"),
        ("one. two\nthree four", "one. two\n"),
        ("one two. three four", "one two. "),
        ("one two three four", "one two "),
        ("onetwothreefour", "onetwothreef"),
        ("o\n\nnetwothreefour", "o\n\nnetwothre"),
    ],
)
def test_a_passage_ends_at_the_best_border_that_wastes_less_than_half(text: str, first: str):
    assert next(passages(text, 12)) == first


def test_many_passages_take_linear_time():
    assert sum(1 for _ in passages("word " * 800_000, 768)) > 5000


def test_a_request_says_only_what_is_wished():
    body = chat_body(Wish("m"), "Sum up.", "the sea")
    assert msgspec.json.decode(body).keys() == {"model", "messages"}
    head = chat.head(chat_body(Wish("m", 7, 0.0), "Sum up.", "the sea"))
    assert (head.model, head.output_max, head.stream) == ("m", 7, False)
    assert msgspec.json.decode(chat_body(Wish("m", 7, 0.0), "a", "b"))["temperature"] == 0


def completion(finish: str | None = "stop", **message: object) -> bytes:
    return msgspec.json.encode({"choices": [{"message": message, "finish_reason": finish}]})


def test_the_text_of_an_answer_is_read():
    assert said_in(completion(content="yes")) == Said("yes", "stop")
    assert said_in(completion(content=None, finish="length")) == Said("", "length")
    assert said_in(completion(content="yes", finish=None)) == Said("yes", "")
    assert said_in(completion(content="half", finish="content_filter")).text == "half"


@pytest.mark.parametrize(
    "answer",
    [completion(refusal="no"), completion(content="", finish="content_filter")],
)
def test_a_refusal_is_none(answer: bytes):
    with pytest.raises(ContentRefused):
        said_in(answer)


@pytest.mark.parametrize("answer", [b"{", b"{}", b'{"choices":[]}', b'{"choices":[{}]}'])
def test_what_is_no_completion_is_the_providers_fault(answer: bytes):
    with pytest.raises(UpstreamBadReply):
        said_in(answer)


def test_every_id_stands_once():
    check_ids([Document("a", "x"), Document("b", "x")])
    with pytest.raises(InvalidValue) as caught:
        check_ids([Document("a", "x"), Document("b", "x"), Document("b", "x")])
    assert caught.value.param == "documents.2.id"
