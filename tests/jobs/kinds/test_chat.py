"""A chat completion, and any other request, as a job."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gatemill.core.call import Key
from gatemill.core.errors import (
    InvalidRequest,
    InvalidValue,
    MissingParameter,
    ModelNotFound,
    UpstreamBadReply,
    UpstreamInterrupted,
)
from gatemill.jobs.answering import RESTARTED
from gatemill.jobs.kinds import chat, inference
from gatemill.jobs.trial import Trial
from gatemill.wire import sse
from gateway_parts import KEY, Stage, route

BODY = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


async def test_the_answer_is_the_result():
    trial = Trial()
    found = await trial.run(chat, **BODY)
    assert found["choices"][0]["message"]["content"] == "one two three"
    assert trial.asked == [("chat", BODY)]
    assert trial.said == []


async def test_a_stream_is_told_event_by_event_and_put_together():
    trial = Trial()
    found = await trial.run(chat, **BODY, stream=True)
    assert found["choices"][0]["message"]["content"] == "one two three"
    assert found["usage"]["completion_tokens"] > 0
    assert all(event.startswith(b"data: ") and event.count(b"\n\n") == 1 for event in trial.said)
    assert trial.said[-1] == sse.DONE
    assert len(trial.said) == 7, "role, three words, the end, usage, and the mark"


async def test_who_wants_no_usage_gets_none():
    found = await Trial().run(chat, **BODY, stream=True, stream_options={"include_usage": False})
    assert "usage" not in found


async def test_a_later_attempt_says_that_it_begins_again():
    whole = [sse.event(msgspec.json.encode(piece)) for piece in _pieces("a", "b")]
    answers: list[Any] = [[*whole[:1]], [*whole, sse.DONE]]
    trial = Trial(lambda operation, body: answers.pop(0), attempts_max=2)
    with pytest.raises(UpstreamInterrupted):
        await trial.run(chat, **BODY, stream=True)
    found = await trial.run(chat, **BODY, stream=True)
    assert found["choices"][0]["message"]["content"] == "ab"
    assert trial.said == [whole[0], RESTARTED, *whole, sse.DONE]


async def test_an_attempt_that_never_spoke_leaves_nothing_to_take_back():
    answers: list[Any] = [[], [{**piece} for piece in _pieces("a")]]
    trial = Trial(lambda operation, body: answers.pop(0), attempts_max=2)
    with pytest.raises(UpstreamInterrupted):
        await trial.run(chat, **BODY, stream=True)
    await trial.run(chat, **BODY, stream=True)
    assert RESTARTED not in trial.said


async def test_an_event_that_is_no_json_is_the_providers_fault():
    trial = Trial(lambda operation, body: [b"data: {\n\n"])
    with pytest.raises(UpstreamBadReply):
        await trial.run(chat, **BODY, stream=True)


async def test_other_formats_are_asked_as_they_are():
    trial = Trial(lambda operation, body: {"data": []})
    body = {"model": "m", "input": "a", "stream": True}
    assert await trial.run(inference, operation="embeddings", body=body) == {"data": []}
    assert trial.asked == [("embeddings", body)], "which has no streams, and says so itself"


async def test_a_response_is_what_its_last_event_holds():
    done = {"type": "response.completed", "response": {"id": "r", "status": "completed"}}
    trial = Trial(lambda operation, body: [{"type": "response.created"}, done])
    body = {"model": "m", "input": "a", "stream": True}
    assert await trial.run(inference, operation="responses", body=body) == done["response"]
    assert trial.asked == [("responses", body)]


@pytest.mark.parametrize("operation", ["count_tokens", "", "Chat"])
def test_only_known_formats_fit(operation: str):
    with pytest.raises(msgspec.ValidationError, match=r"\$\.operation"):
        msgspec.json.decode(
            msgspec.json.encode({"operation": operation, "body": BODY}), type=inference.Args
        )


def _pieces(*texts: str) -> list[Any]:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    chunks[-1]["choices"][0]["finish_reason"] = "stop"
    return chunks


# --- What is refused when a job is handed in --------------------------------------------------------


def _checked(body: Any, key: Key = KEY, operation: str = "") -> None:
    gateway = Stage(route(name="m")).gateway
    if operation:
        inference.check(inference.Args(operation, raw(body)), key, gateway)
    else:
        chat.check(raw(body), key, gateway)


def test_a_good_request_is_accepted():
    _checked(BODY)
    _checked(BODY, operation="chat")
    _checked({"model": "m", "input": "a"}, operation="embeddings")


@pytest.mark.parametrize(
    ("change", "kind", "param"),
    [
        ({"messages": []}, InvalidValue, "messages"),
        ({"messages": [{"role": "nobody", "content": ""}]}, InvalidValue, "messages.0.role"),
        ({"model": None}, InvalidRequest, "model"),
        ({"temperature": 9}, InvalidValue, "temperature"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_its_path(change: Any, kind: Any, param: str):
    with pytest.raises(kind) as caught:
        _checked({**BODY, **change})
    assert caught.value.param == param
    with pytest.raises(kind) as caught:
        _checked({**BODY, **change}, operation="chat")
    assert caught.value.param == f"body.{param}"


def test_an_empty_object_lacks_a_model():
    with pytest.raises(MissingParameter):
        _checked({})


def test_an_unknown_model_is_refused_and_one_of_others_looks_the_same():
    with pytest.raises(ModelNotFound) as unknown:
        _checked({**BODY, "model": "n"})
    with pytest.raises(ModelNotFound) as foreign:
        _checked(BODY, msgspec.structs.replace(KEY, models=("other",)))
    assert unknown.value.message.replace("`n`", "`m`") == foreign.value.message


def test_more_output_than_the_model_gives_is_refused():
    gateway = Stage(route(name="m", output_max=10)).gateway
    with pytest.raises(InvalidValue, match="at most 10"):
        chat.check(raw({**BODY, "max_tokens": 11}), KEY, gateway)
