"""What an answer says at a glance."""

from __future__ import annotations

from typing import Any

from gatemill.core.call import Call, Head, Reply
from gatemill.library.answer import Answer, answer_of


def made(**data: Any) -> Answer:
    return Answer(data, "req_1", "p/m", 1, 7, "", "")


def test_the_text_is_that_of_the_first_choice():
    choices = [{"message": {"content": "one"}}, {"message": {"content": "two"}}]
    assert made(choices=choices).text == "one"


def test_an_answer_without_text_has_an_empty_one():
    for data in (
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": {"content": None}}]},
    ):
        assert made(**data).text == ""


def test_the_vectors_stand_in_the_order_of_the_inputs():
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    assert made(data=data).vectors == [[1.0], [2.0]]
    assert made().vectors == []


def test_an_answer_from_the_cache_names_no_target():
    call = Call("req_1", "chat", b"", Head("m"), 0.0, 1.0, cache="hit", version="v2")
    answer = answer_of(Reply(call=call, body=b'{"id":"x"}', cost_microusd=0))
    assert answer == Answer({"id": "x"}, "req_1", "", 0, 0, "hit", "v2")
