"""Chat, completions and errors as the real OpenAI SDK sees them, and streams byte by byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from fake_provider.asking import KEY, stream
from gatemill.fake_provider.server import FakeProvider

ASK: Any = [{"role": "user", "content": "Say hello, please"}]
HELLO = "Hello from fake-provider."


@pytest.fixture
async def sdk(provider: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{provider.url}/v1", api_key=KEY, max_retries=0
    ) as client:
        yield client


async def chunks(sdk: openai.AsyncOpenAI, model: str, **more: Any) -> list[Any]:
    answer = await sdk.chat.completions.create(model=model, messages=ASK, stream=True, **more)
    return [chunk async for chunk in answer]


async def test_chat(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="fake", messages=ASK)
    assert answer.choices[0].message.content == HELLO
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 6)
    assert answer._request_id == "req_fake00000001"


async def test_chat_with_choices(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="fake", messages=ASK, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 9


async def test_chat_stream_without_usage_says_nothing_of_it(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake")
    assert seen.text == HELLO
    assert all("usage" not in chunk for chunk in seen.data)
    assert all(chunk["choices"] for chunk in seen.data)
    assert seen.events[-1][1] == b"[DONE]"


async def test_chat_stream_with_usage_has_it_in_a_chunk_of_its_own(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake", stream_options={"include_usage": True})
    *others, last = seen.data
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 6
    assert all(chunk["usage"] is None for chunk in others)
    assert seen.events[-1][1] == b"[DONE]"


async def test_chat_stream_keeps_its_identity(sdk: openai.AsyncOpenAI) -> None:
    got = await chunks(sdk, "fake")
    assert len({(chunk.id, chunk.created) for chunk in got}) == 1
    assert got[0].choices[0].delta.role == "assistant"
    assert got[-1].choices[0].finish_reason == "stop"


async def test_choices_of_a_stream_take_turns(sdk: openai.AsyncOpenAI) -> None:
    got = await chunks(sdk, "fake", n=2)
    assert [chunk.choices[0].index for chunk in got] == [0, 1] * 5


async def test_tool_call(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="fake+tools", messages=ASK)
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}'


async def test_parallel_tool_calls_are_interleaved(sdk: openai.AsyncOpenAI) -> None:
    deltas = [
        call
        for chunk in await chunks(sdk, "fake+tools=2")
        for call in chunk.choices[0].delta.tool_calls or ()
    ]
    assert [call.index for call in deltas] == [0, 1] * 4
    assert [bool(call.id) for call in deltas] == [True, True] + [False] * 6
    second = "".join(call.function.arguments for call in deltas if call.index == 1)
    assert second == '{"city": "Tokyo"}'


async def test_sdk_joins_a_streamed_tool_call(sdk: openai.AsyncOpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}}
    async with sdk.chat.completions.stream(
        model="fake+tools", messages=ASK, tools=[tool]
    ) as answer:
        final = await answer.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["look"]


async def test_refusal(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="fake+refusal", messages=ASK)
    message = answer.choices[0].message
    assert (message.content, message.refusal) == (None, "I cannot help with that.")
    got = await chunks(sdk, "fake+refusal")
    assert "".join(c.choices[0].delta.refusal or "" for c in got) == "I cannot help with that."


async def test_length(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="fake+length", messages=ASK)
    assert answer.choices[0].finish_reason == "length"
    assert (await chunks(sdk, "fake", max_tokens=1))[-1].choices[0].finish_reason == "length"


async def test_reasoning(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="fake+reasoning", messages=ASK)
    assert answer.choices[0].message.reasoning_content == "The user greets me."
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4
    got = [chunk.choices[0].delta for chunk in await chunks(sdk, "fake+reasoning")]
    thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in got)
    assert thoughts == "The user greets me."


async def test_cached(sdk: openai.AsyncOpenAI) -> None:
    usage = (await sdk.chat.completions.create(model="fake+cached", messages=ASK)).usage
    details = usage.prompt_tokens_details
    assert (usage.prompt_tokens, details.cached_tokens, details.cache_write_tokens) == (
        153,
        100,
        50,
    )


@pytest.mark.parametrize("operation", ["chat", "completions"])
async def test_no_usage(sdk: openai.AsyncOpenAI, operation: str) -> None:
    if operation == "chat":
        answer: Any = await sdk.chat.completions.create(model="fake+no-usage", messages=ASK)
        asked: Any = {"include_usage": True}
        assert all(c.choices for c in await chunks(sdk, "fake+no-usage", stream_options=asked))
    else:
        answer = await sdk.completions.create(model="fake+no-usage", prompt="hi")
    assert answer.usage is None


async def test_completions(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.completions.create(model="fake", prompt="one two", n=2)
    assert [choice.text for choice in answer.choices] == [HELLO, HELLO]
    assert answer.usage.prompt_tokens == 2


@pytest.mark.parametrize("asked", [True, False])
async def test_completions_stream(sdk: openai.AsyncOpenAI, asked: bool) -> None:
    answer = await sdk.completions.create(
        model="fake", prompt="hi", stream=True, stream_options={"include_usage": asked}
    )
    got = [chunk async for chunk in answer]
    assert "".join(choice.text for chunk in got for choice in chunk.choices) == HELLO
    assert [bool(chunk.usage) for chunk in got] == [False] * 4 + [True] * asked


async def test_models(sdk: openai.AsyncOpenAI) -> None:
    assert "fake+hang" in [model.id async for model in sdk.models.list()]
    assert (await sdk.models.retrieve("fake")).id == "fake"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("status=400", openai.BadRequestError),
        ("auth", openai.AuthenticationError),
        ("auth=403", openai.PermissionDeniedError),
        ("status=404", openai.NotFoundError),
        ("status=409", openai.ConflictError),
        ("status=422", openai.UnprocessableEntityError),
        ("quota", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("html-error", openai.InternalServerError),
        ("close", openai.APIConnectionError),
        ("abort", openai.APIConnectionError),
    ],
)
async def test_sdk_raises_the_class_of_each_failure(
    sdk: openai.AsyncOpenAI, fault: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await sdk.chat.completions.create(model=f"fake+{fault}", messages=ASK)


async def test_sdk_raises_on_an_error_within_the_stream(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIError, match="broke off"):
        await chunks(sdk, "fake+error-event=1")


async def test_sdk_retries_until_first_is_over(provider: FakeProvider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key=KEY) as client:
        answer = await client.chat.completions.create(
            model="fake+first=2+status=503+retry-after=0", messages=ASK
        )
    assert answer.choices[0].message.content == HELLO
    assert [row.status for row in provider.journal] == [503, 503, 200]
