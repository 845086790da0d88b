from __future__ import annotations

import asyncio

import pytest

from gatemill.runner.app import App
from gatemill.runner.engine import CannotLoad, Settings
from openai_contract import validate
from runner.served import PATIENCE_S, Served


@pytest.fixture
async def served():
    async with Served() as found:
        yield found


async def test_a_chat_is_answered_as_openai_defines_it(served):
    served.engine.answers = [("hello", "stop")]
    answer = await served.chat("hey").answered()
    assert answer.status == 200
    validate("CreateChatCompletionResponse", answer.json)
    [choice] = answer.json["choices"]
    assert choice["message"]["content"] == "hello"
    assert choice["finish_reason"] == "stop"
    usage = answer.json["usage"]
    # The token that ends the answer was generated, too.
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (3, 6)


async def test_a_completion_of_two_prompts_has_their_choices_in_order(served):
    served.engine.answers = [("a", "length"), ("b", "length"), ("c", "stop"), ("d", "stop")]
    answer = await served.post("/v1/completions", prompt=["xx", "yyy"], n=2).answered()
    validate("CreateCompletionResponse", answer.json)
    assert [one["text"] for one in answer.json["choices"]] == ["a", "b", "c", "d"]
    assert [one["index"] for one in answer.json["choices"]] == [0, 1, 2, 3]
    assert [one["finish_reason"] for one in answer.json["choices"]] == ["length"] * 2 + ["stop"] * 2
    assert answer.json["usage"]["prompt_tokens"] == 5
    assert answer.json["usage"]["completion_tokens"] == 6


async def test_a_stream_brings_each_piece_when_it_comes(served):
    exchange = served.chat(stream=True, stream_options={"include_usage": True}, n=2)
    await served.engine.submitted.wait()
    served.engine.tell(1, "a")
    await exchange.until(lambda: b'"a"' in exchange.body)
    assert not exchange.over
    served.engine.tell(2, "b", "length")
    served.engine.tell(1, "c", "stop")
    await exchange.answered()
    assert exchange.headers["content-type"] == "text/event-stream"
    assert exchange.body.endswith(b"data: [DONE]\n\n")
    *events, last = exchange.events
    for event in events:
        validate("CreateChatCompletionStreamResponse", event)
        assert event["usage"] is None
    texts = {0: "", 1: ""}
    for event in events:
        [choice] = event["choices"]
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == {0: "ac", 1: "b"}
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4


async def test_a_streamed_completion_has_texts_and_no_usage_unasked(served):
    served.engine.answers = [("ab", "stop")]
    answer = await served.post("/v1/completions", prompt="x", stream=True).answered()
    assert "".join(event["choices"][0]["text"] for event in answer.events) == "ab"
    assert answer.events[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in event for event in answer.events)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_string_ends_the_answer_and_its_generation(served, stream):
    exchange = served.chat(stream=stream, stop=["END"])
    await served.engine.submitted.wait()
    served.engine.tell(1, "one E")
    served.engine.tell(1, "ND two")
    await exchange.answered()
    if stream:
        said = "".join(event["choices"][0]["delta"].get("content", "") for event in exchange.events)
        assert exchange.events[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        said = exchange.json["choices"][0]["message"]["content"]
        assert exchange.json["choices"][0]["finish_reason"] == "stop"
        assert exchange.json["usage"]["completion_tokens"] == 11
    assert said == "one "
    assert served.engine.cancelled == [1]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_is_generated_for_no_more(served, stream):
    exchange = served.chat(stream=stream, n=2)
    await served.engine.submitted.wait()
    served.engine.tell(1, "a", "stop")
    exchange.leave()
    await exchange.answered()
    assert served.engine.cancelled == [2]
    assert served.engine.under_way == 0


async def test_a_failure_within_a_stream_is_one_error_event_and_no_end_mark(served):
    exchange = served.chat(stream=True)
    await served.engine.submitted.wait()
    served.engine.tell(1, "a")
    served.engine.tell(1, error="device lost")
    await exchange.answered()
    assert exchange.over
    assert [event for event in exchange.events if "error" in event] == [exchange.events[-1]]
    assert exchange.events[-1]["error"]["type"] == "server_error"
    assert b"[DONE]" not in exchange.body


async def test_a_failure_before_the_answer_is_a_500(served):
    exchange = served.chat()
    await served.engine.submitted.wait()
    served.engine.tell(1, error="device lost")
    await exchange.answered()
    assert (exchange.status, exchange.json["error"]["code"]) == (500, "internal_error")


async def test_as_much_is_generated_as_the_context_holds(served):
    served.engine.answers = [("a", "stop")] * 3
    works = []
    for fields in ({"max_tokens": 5}, {}, {"max_tokens": 100}):
        exchange = served.chat("x" * 60, **fields)
        await served.engine.submitted.wait()
        served.engine.submitted.clear()
        works += served.engine.works.values()
        await exchange.answered()
    assert [work.output_max for work in works] == [4, 4, 4]


async def test_more_than_the_model_may_generate_is_refused():
    async with Served(output_max=9) as served:
        answer = await served.chat(max_tokens=10).answered()
        assert (answer.status, answer.json["error"]["param"]) == (400, "max_tokens")


async def test_a_full_queue_is_a_429_with_the_time_to_come_back():
    async with Served(concurrency_max=1, waiting_max=1) as served:
        exchanges = [served.chat(), served.chat()]
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await served.engine.submitted.wait()
                served.engine.submitted.clear()
                if served.engine.under_way == 2:
                    break
        third = await served.chat().answered()
        assert third.status == 429
        assert third.headers["retry-after"] == "1"
        assert third.json["error"]["code"] == "rate_limit_exceeded"
        never = await served.chat(n=3).answered()
        assert (never.status, never.json["error"]["param"]) == (400, "n")
        for exchange in exchanges:
            exchange.leave()
            await exchange.answered()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("POST", "/health", 405), ("GET", "/nothing", 404)],
)
async def test_other_paths_and_methods_are_refused(served, method, path, status):
    answer = await served.get(path, method).answered()
    assert answer.status == status
    validate("ErrorResponse", answer.json)


async def test_what_the_model_refuses_is_a_400(served):
    answer = await served.chat("x" * 65).answered()
    assert (answer.status, answer.json["error"]["code"]) == (400, "context_length_exceeded")
    answer = await served.chat(seed=1).answered()
    assert (answer.status, answer.json["error"]["param"]) == (400, "seed")
    served.engine.answers = [("a", "stop")]
    assert (await served.chat(seed=1, temperature=0).answered()).status == 200


async def test_figures_and_health(served):
    assert (await served.get("/health").answered()).status == 200
    figures = (await served.get("/stats").answered()).json
    assert figures["memory_bytes"] == 13
    assert (figures["cache_bytes"], figures["weights_bytes"]) == (7, 11)
    listed = (await served.get("/v1/models").answered()).json
    validate("ListModelsResponse", listed)
    assert not served.app.has_failed
    served.engine.lives = False
    assert served.app.has_failed
    assert (await served.get("/health").answered()).status == 503
    assert (await served.chat().answered()).status == 503


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_let_go(served):
    exchange = served.chat()
    exchange._body.clear()
    exchange.leave()
    await exchange.answered()
    assert exchange.status == 0


async def test_a_model_that_cannot_be_loaded_stops_the_server_with_its_reason():
    def load(_settings):
        raise CannotLoad("the model needs 4 MiB")

    said = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        said.append(message)

    app = App(Settings("folder"), load)
    await app({"type": "lifespan"}, receive, send)
    assert said == [{"type": "lifespan.startup.failed", "message": "the model needs 4 MiB"}]


async def test_the_engine_is_closed_with_the_server():
    async with Served() as served:
        assert not served.engine.closed
    assert served.engine.closed
    assert [one["type"] for one in served.said] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
