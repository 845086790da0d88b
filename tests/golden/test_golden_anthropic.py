import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParams
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from anthropic_cases import CASES, FOLDER, produce
from gatemill.wire import sse

STREAM_EVENT = TypeAdapter(RawMessageStreamEvent)
SENT = TypeAdapter(MessageCreateParams)


@pytest.mark.parametrize("name", CASES)
def test_what_is_sent_and_answered_equals_the_golden_files(name):
    made = produce(name)
    kept = {path.name for path in (FOLDER / name).iterdir()}
    assert kept == {*made, "request.json", *(kept & {"received.json", "received.sse"})}
    for file, data in made.items():
        assert data == (FOLDER / name / file).read_bytes(), f"{name}/{file}"


@pytest.mark.parametrize("name", [case for case in CASES if case.startswith("messages_")])
def test_anthropics_sdk_accepts_the_reply(name):
    made = produce(name)
    if "reply.json" in made:
        Message.model_validate_json(made["reply.json"], strict=True)
        return
    for event, data in sse.events(made["reply.sse"]):
        assert STREAM_EVENT.validate_json(data, strict=True).type == event


@pytest.mark.parametrize("name", [case for case in CASES if case.startswith("chat_")])
def test_openais_sdk_accepts_the_reply(name):
    made = produce(name)
    if "reply.json" in made:
        ChatCompletion.model_validate_json(made["reply.json"])
        return
    *chunks, end = [data for _, data in sse.events(made["reply.sse"])]
    assert end == b"[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk)


@pytest.mark.parametrize("name", [case for case in CASES if case.startswith("chat_")])
def test_what_is_sent_has_the_shape_of_anthropics_parameters(name):
    walk(SENT.validate_json(produce(name)["sent.json"]))


def walk(value):
    """Visit everything: pydantic checks an Iterable only when it is read."""
    if isinstance(value, dict):
        for inner in value.values():
            walk(inner)
    elif not isinstance(value, str) and hasattr(value, "__iter__"):
        for inner in value:
            walk(inner)


def test_there_are_cases_for_both_directions_with_and_without_streams():
    kinds = {(name.split("_")[0], (FOLDER / name / "received.sse").exists()) for name in CASES}
    assert kinds == {(way, streams) for way in ("chat", "messages") for streams in (True, False)}


def test_every_request_and_answer_of_the_cases_is_json():
    for name in CASES:
        for path in (FOLDER / name).glob("*.json"):
            msgspec.json.decode(path.read_bytes())
