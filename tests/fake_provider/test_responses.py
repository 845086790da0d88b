"""The Responses API as the real OpenAI SDK sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from fake_provider.asking import KEY, RESPONSES, stream
from gatemill.fake_provider.server import FakeProvider

HELLO = "Hello from fake-provider."


@pytest.fixture
async def sdk(provider: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{provider.url}/v1", api_key=KEY, max_retries=0
    ) as client:
        yield client


async def test_response(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.responses.create(model="fake", input="one two", instructions="be brief")
    assert (answer.output_text, answer.status) == (HELLO, "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 3)


async def test_events_of_a_text(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake", RESPONSES)
    assert seen.names == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert seen.names == [event["type"] for event in seen.data]
    assert [event["sequence_number"] for event in seen.data] == list(range(11))
    assert b"[DONE]" not in seen.body
    assert seen.data[-1]["response"]["usage"]["total_tokens"] == 6


@pytest.mark.parametrize(
    "fault", ["words=7", "tools=2", "reasoning", "refusal", "length", "cached", "no-usage"]
)
async def test_sdk_gathers_the_stream_to_the_complete_response(
    sdk: openai.AsyncOpenAI, fault: str
) -> None:
    model = f"fake+{fault}"
    whole: Any = await sdk.responses.create(model=model, input="hi")
    async for event in await sdk.responses.create(model=model, input="hi", stream=True):
        last: Any = event
    assert last.type == f"response.{'incomplete' if fault == 'length' else 'completed'}"
    assert last.response.usage == whole.usage
    kinds = [[item.type for item in response.output] for response in (last.response, whole)]
    assert kinds[0] == kinds[1]
    assert last.response.output_text == whole.output_text


async def test_function_calls(sdk: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "name": "look", "parameters": {}, "strict": True}]
    answer: Any = await sdk.responses.create(model="fake+tools=2", input="hi", tools=tools)
    assert [call.name for call in answer.output] == ["look", "look"]
    assert [call.arguments for call in answer.output] == ['{"city": "Paris"}', '{"city": "Tokyo"}']


async def test_items_of_a_stream_start_empty(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+reasoning", RESPONSES)
    added = [e["item"] for e in seen.data if e["type"] == "response.output_item.added"]
    assert [item["type"] for item in added] == ["reasoning", "message"]
    assert (added[0]["summary"], added[1]["content"]) == ([], [])
    thoughts = [e["delta"] for e in seen.data if e["type"].endswith("summary_text.delta")]
    assert "".join(thoughts) == "The user greets me."


async def test_arguments_come_in_pieces(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+tools", RESPONSES)
    pieces = [e["delta"] for e in seen.data if e["type"].endswith("arguments.delta")]
    assert len(pieces) == 3
    assert "".join(pieces) == '{"city": "Paris"}'


async def test_refusal_and_length(sdk: openai.AsyncOpenAI) -> None:
    refused: Any = await sdk.responses.create(model="fake+refusal", input="hi")
    assert refused.output[0].content[0].refusal == "I cannot help with that."
    cut: Any = await sdk.responses.create(model="fake", input="hi", max_output_tokens=1)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
