"""The contract itself must be able to fail."""

from __future__ import annotations

import pytest

import openai_contract

DELTA = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "x",
    "logprobs": [],
    "sequence_number": 4,
}


def test_a_good_event_passes():
    openai_contract.validate_stream_event(DELTA)


@pytest.mark.parametrize("name", sorted(DELTA))
def test_an_event_without_one_of_its_fields_fails(name):
    lacking = {key: value for key, value in DELTA.items() if key != name}
    with pytest.raises(AssertionError, match=name):
        openai_contract.validate_stream_event(lacking)


def test_an_event_of_an_unknown_type_fails():
    with pytest.raises(AssertionError, match="is not one of"):
        openai_contract.validate_stream_event({**DELTA, "type": "response.text.delta"})


def test_alternatives_are_told_apart_by_their_type():
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": "", "annotations": []}
    event = {
        "type": "response.output_item.done",
        "output_index": 0,
        "sequence_number": 1,
        "item": {**item, "content": [part]},
    }
    with pytest.raises(AssertionError, match="'logprobs' is a required property"):
        openai_contract.validate_stream_event(event)
    part["logprobs"] = []
    openai_contract.validate_stream_event(event)


def test_nullable_is_null_or_the_type():
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": None}, "finish_reason": None}
    openai_contract.validate(
        "CreateChatCompletionStreamResponse", {**chunk, "choices": [choice], "usage": None}
    )
    with pytest.raises(AssertionError, match="finish_reason"):
        openai_contract.validate(
            "CreateChatCompletionStreamResponse",
            {**chunk, "choices": [{**choice, "finish_reason": 5}]},
        )


def test_an_unknown_schema_is_a_mistake_in_the_test():
    with pytest.raises(AssertionError, match="no schema Nothing"):
        openai_contract.validate("Nothing", {})
