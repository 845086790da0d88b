"""Golden cases of responses through the hub, byte-compared; see golden_responses."""

from __future__ import annotations

import msgspec
import pytest

import golden_responses
import openai_contract
from gatemill.wire import sse


@pytest.mark.parametrize("folder", golden_responses.FOLDERS, ids=lambda folder: folder.name)
def test_a_case_comes_out_as_recorded(folder):
    for name, content in golden_responses.produced(folder).items():
        assert content == (folder / name).read_bytes(), name


@pytest.mark.parametrize("folder", golden_responses.FOLDERS, ids=lambda folder: folder.name)
def test_what_is_recorded_satisfies_the_contract(folder):
    read = {path.name: path.read_bytes() for path in folder.iterdir()}
    openai_contract.validate("CreateResponse", msgspec.json.decode(read["request.json"]))
    openai_contract.validate("CreateChatCompletionRequest", msgspec.json.decode(read["chat.json"]))
    if "response.json" in read:
        openai_contract.validate("Response", msgspec.json.decode(read["response.json"]))
    for _, data in sse.events(read.get("events.txt", b"")):
        openai_contract.validate_stream_event(msgspec.json.decode(data))


def test_there_are_cases():
    assert len(golden_responses.FOLDERS) >= 5
