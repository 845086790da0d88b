"""The openai Python SDK against the gateway, over real sockets."""

from __future__ import annotations

import asyncio

import openai
import pytest
import pytest_asyncio

from sdks import openai_at
from story.conftest import town_in

MODELS = ["echo", "fast", "sonnet", "limited"]  # local, native, translated to Anthropic, chat only
HELLO = [{"role": "user", "content": "hello big world"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def town(tmp_path):
    """For a test that looks at what it has left, or makes a provider fail."""
    async with town_in(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory):
    """For all others, which only ask."""
    async with town_in(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture
def place(request):
    """The test's own, if it wants one."""
    return request.getfixturevalue("town" if "town" in request.fixturenames else "shared")


@pytest_asyncio.fixture(loop_scope="module")
async def client(place):
    async with openai_at(place.gate.url, place.key, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("model", MODELS)
async def test_chat_answers(client, model):
    got = await client.chat.completions.create(model=model, messages=HELLO)
    assert got.choices[0].message.content
    assert got.choices[0].finish_reason == "stop"
    assert got.usage is not None
    assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens > 0


@pytest.mark.parametrize("model", MODELS)
async def test_chat_streams_the_same_text(client, model):
    whole = await client.chat.completions.create(model=model, messages=HELLO)
    stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
    pieces, ends = [], []
    async for chunk in stream:
        assert chunk.choices, "the usage chunk was not asked for"
        pieces.append(chunk.choices[0].delta.content or "")
        ends.append(chunk.choices[0].finish_reason)
    assert "".join(pieces) == whole.choices[0].message.content
    assert ends[-1] == "stop"
    assert len(pieces) > 2


@pytest.mark.parametrize("model", MODELS)
async def test_stream_ends_with_usage_when_asked(client, model):
    stream = await client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    last = [chunk async for chunk in stream][-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0


@pytest.mark.parametrize("model", ["echo", "open/fake+tools", "claude/fake+tools"])
async def test_tools_are_called_and_their_results_are_taken(client, model):
    asked = [{"role": "user", "content": "Weather in Paris?"}]
    first = await client.chat.completions.create(
        model=model, messages=asked, tools=TOOLS, tool_choice="required"
    )
    call = first.choices[0].message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    asked += [
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
    ]
    second = await client.chat.completions.create(model=model, messages=asked, tools=TOOLS)
    assert second.choices[0].message.content


@pytest.mark.parametrize("model", ["open/fake+tools=2", "claude/fake+tools=2"])
async def test_parallel_tool_calls_keep_their_index_in_a_stream(client, model):
    stream = await client.chat.completions.create(
        model=model, messages=HELLO, tools=TOOLS, stream=True
    )
    calls: dict[int, dict[str, str]] = {}
    async for chunk in stream:
        for piece in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    assert sorted(calls) == [0, 1]
    assert calls[0]["id"] != calls[1]["id"]
    for call in calls.values():
        assert call["name"]
        assert call["arguments"].startswith("{") and call["arguments"].endswith("}")


@pytest.mark.parametrize("model", ["echo", "fast"])
@pytest.mark.parametrize("given", ["one text", ["one", "two", "three"], [[1, 2, 3], [4]]])
async def test_embeddings_keep_their_order(client, model, given):
    got = await client.embeddings.create(model=model, input=given)
    expected = 1 if isinstance(given, str) else len(given)
    assert [row.index for row in got.data] == list(range(expected))
    assert len(got.data[0].embedding) > 1
    assert got.usage.prompt_tokens > 0


async def test_embeddings_from_a_chat_provider_are_refused_with_the_field(client):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.embeddings.create(model="sonnet", input="x")
    assert caught.value.code == "unsupported_operation"
    assert caught.value.param == "model"


@pytest.mark.parametrize("model", MODELS)
async def test_responses_answer_and_stream(client, model):
    whole = await client.responses.create(model=model, input="hello big world")
    assert whole.status == "completed"
    assert whole.output_text
    stream = await client.responses.create(model=model, input="hello big world", stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text


@pytest.mark.parametrize("model", ["echo", "fast", "limited"])
async def test_legacy_completions_answer_and_stream(client, model):
    whole = await client.completions.create(model=model, prompt="hello big world", max_tokens=50)
    assert whole.choices[0].text
    stream = await client.completions.create(
        model=model, prompt="hello big world", max_tokens=50, stream=True
    )
    pieces = [chunk.choices[0].text async for chunk in stream]
    assert "".join(pieces) == whole.choices[0].text


async def test_models_are_listed_and_found(client):
    names = [model.id async for model in client.models.list()]
    assert {"echo", "fast", "sonnet"} <= set(names)
    assert (await client.models.retrieve("fast")).owned_by == "open"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nothing")


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("nothing", openai.NotFoundError, "model_not_found"),
        ("open/fake+auth", openai.InternalServerError, "upstream_auth_failed"),
        ("open/fake+status=429", openai.RateLimitError, "rate_limit_exceeded"),
        ("open/fake+quota", openai.RateLimitError, "insufficient_quota"),
        ("open/fake+status=500", openai.InternalServerError, "upstream_error"),
        ("open/fake+overloaded", openai.InternalServerError, "upstream_overloaded"),
        ("open/fake+context-length", openai.BadRequestError, "context_length_exceeded"),
        ("open/fake+content-policy", openai.BadRequestError, "content_policy_violation"),
        ("open/fake+close", openai.InternalServerError, "upstream_unreachable"),
        ("open/fake+bad-json", openai.InternalServerError, "upstream_bad_reply"),
        ("open/fake+error-200", openai.InternalServerError, "upstream_bad_reply"),
        ("open/fake+html-error", openai.InternalServerError, "upstream_error"),
        ("claude/fake+auth", openai.InternalServerError, "upstream_auth_failed"),
        ("claude/fake+overloaded", openai.InternalServerError, "upstream_overloaded"),
        ("claude/fake+context-length", openai.BadRequestError, "context_length_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_are_the_sdks_own_classes(town, client, model, kind, code, stream):
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model=model, messages=HELLO, stream=stream)
    assert caught.value.code == code
    assert caught.value.request_id.startswith("req_")
    assert "sk-upstream" not in str(caught.value)


async def test_a_bad_key_is_401_and_nothing_else_is(town):
    async with openai_at(town.gate.url, "gm-none", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="echo", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert await town.rows() == []


async def test_retry_after_reaches_the_sdk(town, client):
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(
            model="open/fake+status=429+retry-after=30", messages=HELLO
        )
    assert caught.value.response.headers["retry-after"] == "30"
    assert caught.value.response.headers["retry-after-ms"] == "30000"


async def test_the_sdk_does_not_repeat_what_cannot_succeed(town):
    async with openai_at(town.gate.url, town.key, max_retries=2) as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="open/fake+quota", messages=HELLO)
    assert len(town.fake.journal) == 1


async def test_fallback_is_silent_and_told_in_headers(town, client):
    raw = await client.chat.completions.with_raw_response.create(model="brittle", messages=HELLO)
    assert raw.headers["x-gatemill-model"] == "open/fake"
    assert raw.headers["x-gatemill-attempts"] == "2"
    assert raw.parse().choices[0].message.content
    rows = await town.rows()
    assert [(row.attempt, row.status, row.error) for row in rows] == [
        (2, 200, ""),
        (1, 503, "upstream_overloaded"),
    ]
    assert rows[0].request_id == rows[1].request_id == raw.headers["x-request-id"]


async def test_a_stream_cut_after_content_raises_in_the_sdk(town, client):
    stream = await client.chat.completions.create(
        model="open/fake+cut=2", messages=HELLO, stream=True
    )
    seen = []
    with pytest.raises(openai.APIError) as caught:
        async for chunk in stream:
            seen.append(chunk.choices[0].delta.content)
    assert caught.value.code == "upstream_interrupted"
    assert len([text for text in seen if text]) == 2
    (row,) = await town.rows()
    assert row.error == "upstream_interrupted"
    assert row.estimated
    assert row.output_tokens >= 2
    assert row.cost_microusd is None, "this model has no price"


async def test_a_caller_who_leaves_a_stream_stops_the_provider(town, client):
    stream = await client.chat.completions.create(
        model="open/fake+words=50+slow=0.2", messages=HELLO, stream=True
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    row = await town.fake.journal.wait_for(lambda row: row.outcome == "client_left", 60.0)
    assert row is not None
    async with asyncio.timeout(60):
        while not (rows := await town.rows()):
            pass  # each look is a trip to the ledger's thread
    assert rows[0].error == "client_closed_request"
    assert rows[0].status == 499
    assert rows[0].output_tokens > 0


async def test_cost_is_counted_to_the_microdollar(town, client):
    raw = await client.chat.completions.with_raw_response.create(model="fast", messages=HELLO)
    used = raw.parse().usage
    expected = used.prompt_tokens * 1 + used.completion_tokens * 2
    (row,) = await town.rows()
    assert row.cost_microusd == expected
    assert raw.headers["x-gatemill-cost-usd"] == f"{expected / 1e6:.6f}"


async def test_unknown_fields_reach_a_provider_of_the_same_dialect(town, client):
    await client.chat.completions.create(
        model="fast", messages=HELLO, extra_body={"vendor_field": {"a": [1, 2]}}
    )
    assert town.fake.journal[-1].body["vendor_field"] == {"a": [1, 2]}


async def test_hints_that_cannot_be_carried_are_named(client):
    raw = await client.chat.completions.with_raw_response.create(
        model="sonnet", messages=HELLO, seed=7
    )
    assert raw.headers["x-gatemill-unsupported"] == "seed"


async def test_a_parameter_that_changes_the_answer_is_refused(client):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="sonnet", messages=HELLO, n=2)
    assert caught.value.code == "unsupported_parameter"
    assert caught.value.param == "n"


@pytest.mark.parametrize("fault", ["split-utf8", "bytewise", "crlf", "comments", "gzip", "chunked"])
@pytest.mark.parametrize("provider", ["open", "claude"])
async def test_text_survives_every_way_bytes_travel(client, provider, fault):
    plain = await client.chat.completions.create(
        model=f"{provider}/fake+split-utf8" if fault == "split-utf8" else f"{provider}/fake",
        messages=HELLO,
    )
    stream = await client.chat.completions.create(
        model=f"{provider}/fake+{fault}", messages=HELLO, stream=True
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == plain.choices[0].message.content
