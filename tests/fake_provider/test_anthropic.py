"""Messages as the real Anthropic SDK sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from fake_provider.asking import KEY, MESSAGES, stream
from gatemill.fake_provider.anthropic import SIGNATURE
from gatemill.fake_provider.server import FakeProvider

ASK: Any = [{"role": "user", "content": "Say hello, please"}]
HELLO = "Hello from fake-provider."


@pytest.fixture
async def sdk(provider: FakeProvider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=provider.url, api_key=KEY, max_retries=0
    ) as client:
        yield client


async def create(sdk: anthropic.AsyncAnthropic, model: str, **more: Any) -> Any:
    return await sdk.messages.create(**{"model": model, "messages": ASK, "max_tokens": 64, **more})


async def final(sdk: anthropic.AsyncAnthropic, model: str) -> Any:
    async with sdk.messages.stream(model=model, messages=ASK, max_tokens=64) as answer:
        return await answer.get_final_message()


async def test_message(sdk: anthropic.AsyncAnthropic) -> None:
    answer = await create(sdk, "fake", system="Be brief")
    assert answer.content[0].text == HELLO
    assert (answer.stop_reason, answer.role) == ("end_turn", "assistant")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 3)
    assert answer._request_id == "req_fake00000001"


@pytest.mark.parametrize(
    "fault", ["words=7", "tools=2", "reasoning", "refusal", "length", "cached", "split-utf8"]
)
async def test_stream_gathers_to_the_complete_message(
    sdk: anthropic.AsyncAnthropic, fault: str
) -> None:
    whole = (await create(sdk, f"fake+{fault}")).to_dict()
    gathered = (await final(sdk, f"fake+{fault}")).to_dict()
    assert gathered["usage"].items() >= whole["usage"].items()
    for answer in (whole, gathered):
        del answer["id"], answer["usage"]
        for block in answer["content"]:
            block.pop("id", None)
    assert gathered == whole


async def test_usage_comes_in_two_events(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake", MESSAGES)
    start, delta = seen.data[0]["message"]["usage"], seen.data[-2]["usage"]
    assert (start["input_tokens"], start["output_tokens"]) == (3, 1)
    assert delta["output_tokens"] == 3


async def test_events_have_names_and_order(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake", MESSAGES)
    assert seen.names == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert seen.names == [event["type"] for event in seen.data]


async def test_tool_use(sdk: anthropic.AsyncAnthropic) -> None:
    tools: Any = [{"name": "look", "input_schema": {"type": "object"}}]
    answer = await create(sdk, "fake+tools=2", tools=tools)
    assert [(block.name, block.input) for block in answer.content] == [
        ("look", {"city": "Paris"}),
        ("look", {"city": "Tokyo"}),
    ]
    assert answer.stop_reason == "tool_use"


async def test_thinking_is_signed(sdk: anthropic.AsyncAnthropic) -> None:
    thinking, text = (await create(sdk, "fake+reasoning")).content
    assert (thinking.thinking, thinking.signature) == ("The user greets me.", SIGNATURE)
    assert text.text == HELLO


async def test_stop_reasons(sdk: anthropic.AsyncAnthropic) -> None:
    names = ["fake+refusal", "fake+length"]
    reasons = [(await create(sdk, name)).stop_reason for name in names]
    assert reasons == ["refusal", "max_tokens"]
    assert (await create(sdk, "fake", max_tokens=1)).stop_reason == "max_tokens"


async def test_cached_tokens_are_apart_from_input_tokens(sdk: anthropic.AsyncAnthropic) -> None:
    usage = (await create(sdk, "fake+cached")).usage
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    assert (usage.input_tokens, read, written) == (3, 100, 50)
    kept = usage.cache_creation
    assert (kept.ephemeral_5m_input_tokens, kept.ephemeral_1h_input_tokens) == (30, 20)


async def test_no_usage_anywhere(provider: FakeProvider, sdk: anthropic.AsyncAnthropic) -> None:
    assert "usage" not in (await create(sdk, "fake+no-usage")).to_dict()
    assert b"usage" not in (await stream(provider, "fake+no-usage", MESSAGES)).body.replace(
        b"fake+no-usage", b""
    )


async def test_empty_answer_has_no_content(sdk: anthropic.AsyncAnthropic) -> None:
    assert (await final(sdk, "fake+words=0")).content == []


async def test_count_tokens(sdk: anthropic.AsyncAnthropic) -> None:
    answer = await sdk.messages.count_tokens(model="fake", messages=ASK, system="Be brief")
    assert answer.input_tokens == 5


async def test_models(sdk: anthropic.AsyncAnthropic) -> None:
    assert "fake+hang" in [model.id async for model in sdk.models.list()]
    assert (await sdk.models.retrieve("fake")).display_name == "fake"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("status=400", anthropic.BadRequestError),
        ("auth", anthropic.AuthenticationError),
        ("auth=403", anthropic.PermissionDeniedError),
        ("status=404", anthropic.NotFoundError),
        ("status=429", anthropic.RateLimitError),
        ("status=500", anthropic.InternalServerError),
        ("overloaded", anthropic.OverloadedError),
        ("close", anthropic.APIConnectionError),
    ],
)
async def test_sdk_raises_the_class_of_each_failure(
    sdk: anthropic.AsyncAnthropic, fault: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await create(sdk, f"fake+{fault}")


async def test_sdk_raises_on_an_error_within_the_stream(sdk: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        await final(sdk, "fake+error-event=1")
