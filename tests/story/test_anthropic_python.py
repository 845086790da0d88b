"""The anthropic Python SDK against the gateway, over real sockets."""

from __future__ import annotations

import anthropic
import pytest

from sdks import anthropic_at, openai_at

MODELS = ["sonnet", "fast", "echo"]  # native, translated to OpenAI, local
HELLO = [{"role": "user", "content": "hello big world"}]
TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather in a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]


@pytest.fixture
async def client(town):
    made = anthropic_at(town.gate.url, town.key, max_retries=0)
    async with made:
        yield made


@pytest.mark.parametrize("model", MODELS)
async def test_messages_answer(client, model):
    got = await client.messages.create(model=model, messages=HELLO, max_tokens=100)
    assert got.content[0].text
    assert got.stop_reason == "end_turn"
    assert got.usage.input_tokens > 0
    assert got.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
async def test_messages_stream_the_same_text(client, model):
    whole = await client.messages.create(model=model, messages=HELLO, max_tokens=100)
    async with client.messages.stream(model=model, messages=HELLO, max_tokens=100) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == whole.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.parametrize("model", ["claude/fake+tools", "open/fake+tools"])
async def test_tools_are_called_and_their_results_are_taken(client, model):
    asked = [{"role": "user", "content": "Weather in Paris?"}]
    first = await client.messages.create(
        model=model, messages=asked, tools=TOOLS, max_tokens=100, tool_choice={"type": "any"}
    )
    used = next(block for block in first.content if block.type == "tool_use")
    assert first.stop_reason == "tool_use"
    assert isinstance(used.input, dict)
    asked += [
        {"role": "assistant", "content": [block.model_dump() for block in first.content]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": used.id, "content": "18 degrees"}],
        },
    ]
    second = await client.messages.create(model=model, messages=asked, tools=TOOLS, max_tokens=100)
    assert second.content[-1].type == "text"


@pytest.mark.parametrize("model", ["claude/fake+reasoning", "open/fake+reasoning"])
async def test_thinking_is_streamed_before_the_text(client, model):
    kinds = []
    async with client.messages.stream(
        model=model, messages=HELLO, max_tokens=5000, thinking={"type": "adaptive"}
    ) as stream:
        async for event in stream:
            if event.type == "content_block_start":
                kinds.append(event.content_block.type)
    assert kinds == ["thinking", "text"]


@pytest.mark.parametrize("model", MODELS)
async def test_tokens_are_counted(client, model):
    got = await client.messages.count_tokens(model=model, messages=HELLO)
    assert got.input_tokens > 0


async def test_models_are_listed_in_anthropics_shape(client):
    names = [model.id async for model in client.models.list()]
    assert {"sonnet", "fast", "echo"} <= set(names)
    assert (await client.models.retrieve("sonnet")).type == "model"


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("nothing", anthropic.NotFoundError, 404),
        ("claude/fake+auth", anthropic.InternalServerError, 502),
        ("claude/fake+status=429", anthropic.RateLimitError, 429),
        ("claude/fake+status=500", anthropic.InternalServerError, 502),
        ("claude/fake+context-length", anthropic.BadRequestError, 400),
        ("open/fake+context-length", anthropic.BadRequestError, 400),
        ("open/fake+close", anthropic.InternalServerError, 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_are_the_sdks_own_classes(client, model, kind, status, stream):
    with pytest.raises(kind) as caught:
        await client.messages.create(model=model, messages=HELLO, max_tokens=10, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.body["type"] == "error"
    assert caught.value.body["request_id"] == caught.value.request_id
    assert caught.value.request_id.startswith("req_")


async def test_a_bad_key_is_401(town):
    made = anthropic_at(town.gate.url, "gm-none", max_retries=0)
    async with made as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="sonnet", messages=HELLO, max_tokens=10)


async def test_cut_stream_raises_in_the_sdk(town, client):
    with pytest.raises(anthropic.APIStatusError):
        async with client.messages.stream(
            model="claude/fake+cut=2", messages=HELLO, max_tokens=10
        ) as stream:
            async for _ in stream.text_stream:
                pass
    (row,) = await town.rows()
    assert row.error == "upstream_interrupted"


async def test_cache_buckets_do_not_overlap(town, client):
    got = await client.messages.create(model="claude/fake+cached", messages=HELLO, max_tokens=10)
    (row,) = await town.rows()
    assert (row.cache_read_tokens, row.cache_write_tokens) == (100, 50)
    assert row.input_tokens == got.usage.input_tokens
    assert got.usage.cache_read_input_tokens == 100


async def test_what_is_kept_for_an_hour_is_billed_as_that(town, client):
    asked = {"model": "claude/fake+cached", "messages": HELLO, "max_tokens": 10}
    got = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        await stream.get_final_message()
    async with openai_at(town.gate.url, town.key, max_retries=0) as door:
        said = await door.chat.completions.create(**asked)
    assert said.usage.prompt_tokens == got.usage.input_tokens + 150
    rows = await town.rows()
    assert len(rows) == 3
    for row in rows:
        lasting = 100 * 0.3 + 30 * 4 + 20 * 6
        cost = row.input_tokens * 3 + lasting + row.output_tokens * 15
        assert row.cost_microusd == round(cost), row


async def test_beta_headers_reach_the_provider_and_secrets_do_not(town, client):
    await client.messages.create(
        model="sonnet",
        messages=HELLO,
        max_tokens=10,
        extra_headers={"anthropic-beta": "context-1m-2025-08-07", "x-secret": "mine"},
    )
    headers = dict(town.fake.journal[-1].headers)
    assert headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert headers["anthropic-version"] == "2023-06-01"
    assert "x-secret" not in headers
    assert town.key not in str(headers)
