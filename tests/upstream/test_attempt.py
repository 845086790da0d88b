"""One call against its targets: who is asked, in which order, and what is written of each try."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    DeadlineExceeded,
    GatemillError,
    UnsupportedParameter,
    UpstreamBadReply,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.ports import Incoming
from gatemill.providers import anthropic
from gatemill.upstream.attempt import attempt, speaks
from gatemill.wire import chat, count_tokens, messages
from playbook import DONE, HELLO, ROLE, STOP, Scripted, call, event, target
from transports import Remembered

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "upstream",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
GOOD = Incoming(200, {}, msgspec.json.encode(COMPLETION))
DOWN = Incoming(503, {"retry-after": "3"}, b"{}")


async def run(made, *targets, surface=chat, clock=None):
    return await attempt(targets, surface, made, (clock or FakeClock()).monotonic_s)


async def failure(made, *targets, surface=chat) -> GatemillError:
    with pytest.raises(GatemillError) as caught:
        await run(made, *targets, surface=surface)
    return caught.value


async def test_the_first_target_that_answers_is_the_only_one_asked():
    made = call()
    first, second = target(GOOD), target(GOOD, name="b")
    reply = await run(made, first, second)
    assert reply.body == GOOD.body
    assert second.transport.asked == []
    (tried,) = made.attempts
    assert (tried.number, tried.status, tried.error) == (1, 200, "")
    assert tried.usage is not None
    assert (tried.usage.input, tried.usage.output) == (5, 2)


@pytest.mark.parametrize(
    "down", [DOWN, UpstreamUnreachable("no"), UpstreamTimeout("late"), Incoming(200, {}, b"<html>")]
)
async def test_the_second_target_is_asked_when_the_first_fails(down):
    made = call()
    reply = await run(made, target(down), target(GOOD, name="b"))
    assert reply.body == GOOD.body
    assert [tried.target.provider for tried in made.attempts] == ["a", "b"]
    assert made.attempts[0].error.startswith("upstream")
    assert made.attempts[1].error == ""


async def test_the_callers_mistake_is_not_tried_elsewhere():
    made = call()
    mistake = Incoming(400, {}, b'{"error":{"message":"no such voice"}}')
    error = await failure(made, target(mistake), target(GOOD, name="b"))
    assert type(error) is UpstreamRefused
    assert "no such voice" in error.message
    assert len(made.attempts) == 1


async def test_the_last_failure_is_the_one_that_is_raised():
    made = call()
    error = await failure(made, target(UpstreamTimeout("late")), target(DOWN, name="b"))
    assert (error.code, error.retry_after_s) == ("upstream_overloaded", 3)
    assert [tried.error for tried in made.attempts] == ["upstream_timeout", "upstream_overloaded"]


async def test_no_target_is_asked_after_the_deadline():
    made = call(deadline_s=0.0)
    error = await failure(made, target(GOOD))
    assert type(error) is DeadlineExceeded
    assert made.attempts == []


async def test_a_body_for_another_model_name_is_rewritten_and_for_the_same_is_not():
    made = call()
    same, other = target(UpstreamTimeout("late")), target(GOOD, name="b", model="theirs")
    await run(made, same, other)
    assert same.transport.asked[0].body is made.body
    assert msgspec.json.decode(other.transport.asked[0].body)["model"] == "theirs"


async def test_an_answer_without_usage_is_estimated():
    made = call()
    body = msgspec.json.encode({**COMPLETION, "usage": None})
    await run(made, target(Incoming(200, {}, body)))
    usage = made.attempts[0].usage
    assert usage is not None
    assert usage.estimated
    assert usage.input > 0
    assert usage.output > 0


async def test_a_cancelled_wait_is_written_as_the_callers_leaving():
    class Forever:
        async def exchange(self, *_):
            await asyncio.get_running_loop().create_future()

    made = call()
    hung = msgspec.structs.replace(target(), transport=Forever())
    task = asyncio.ensure_future(run(made, hung, target(GOOD, name="b")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (tried,) = made.attempts
    assert (tried.status, tried.error) == (499, "client_closed_request")


async def test_native_operations_are_those_of_the_settings_before_those_of_the_dialect():
    assert speaks(target(), "chat")
    assert not speaks(target(native=frozenset(("embeddings",))), "chat")


async def test_a_hint_that_cannot_be_carried_is_refused_where_that_is_asked_for():
    made = call(logit_bias={"1": 1})
    strict = msgspec.structs.replace(target(GOOD, refuse_hints=True), dialect=anthropic)
    error = await failure(made, strict)
    assert type(error) is UnsupportedParameter
    assert error.param == "logit_bias"
    assert made.attempts[0].error == "unsupported_parameter"


async def test_a_hint_that_cannot_be_carried_is_else_reported():
    made = call(logit_bias={"1": 1})
    lenient = msgspec.structs.replace(target(DOWN), dialect=anthropic)
    await failure(made, lenient)
    assert made.reported == ("logit_bias",)


async def test_tokens_are_estimated_here_where_the_provider_cannot_count():
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}
    made = call()
    made.operation, made.body = count_tokens.NAME, msgspec.json.encode(said)
    asked = target()
    reply = await run(made, asked, surface=count_tokens)
    assert msgspec.json.decode(reply.body)["input_tokens"] > 0
    assert asked.transport.asked == []


async def test_an_answer_for_another_format_is_translated():
    made = call(max_tokens=5)
    made.operation = "messages"
    reply = await run(made, target(GOOD), surface=messages)
    said = msgspec.json.decode(reply.body)
    assert (said["type"], said["content"][0]["text"]) == ("message", "Hi")
    assert said["usage"]["input_tokens"] == 5


# --- Streams -------------------------------------------------------------------------------------


async def test_a_stream_that_fails_before_content_goes_to_the_next_target():
    made = call(stream=True)
    broken = Scripted(ROLE, event(error={"message": "boom"}))
    good = Scripted(ROLE, HELLO)
    reply = await run(made, target(broken), target(good, name="b"))
    sink = Remembered()
    assert reply.stream is not None
    reply.stream.attach(sink)
    assert sink.data == ROLE + HELLO
    assert broken.calls[-1] == "abort"
    assert [tried.error for tried in made.attempts] == ["upstream_error", ""]


@pytest.mark.parametrize("down", [DOWN, UpstreamUnreachable("no"), GOOD])
async def test_a_stream_that_never_begins_goes_to_the_next_target(down):
    made = call(stream=True)
    reply = await run(made, target(down), target(Scripted(ROLE, HELLO), name="b"))
    assert reply.stream is not None
    assert made.attempts[0].error.startswith("upstream")


async def test_a_stream_that_fails_after_content_stays_with_its_target():
    made = call(stream=True)
    source = Scripted(ROLE, HELLO)
    second = target(Scripted(ROLE, HELLO), name="b")
    reply = await run(made, target(source), second)
    source.end(UpstreamInterrupted("cut"))
    sink = Remembered()
    assert reply.stream is not None
    reply.stream.attach(sink)
    assert sink.data == ROLE + HELLO
    assert isinstance(sink.closed[0], UpstreamInterrupted)
    assert second.transport.asked == []


async def test_an_answer_that_is_no_stream_is_a_bad_reply():
    error = await failure(call(stream=True), target(GOOD))
    assert type(error) is UpstreamBadReply


async def test_a_stream_is_asked_for_its_usage():
    made = call(stream=True)
    asked = target(Scripted(ROLE, HELLO))
    await run(made, asked)
    body = msgspec.json.decode(asked.transport.asked[0].body)
    assert body["stream_options"] == {"include_usage": True}


async def test_a_stream_for_another_format_is_translated():
    made = call(stream=True, max_tokens=5)
    made.operation = "messages"
    reply = await run(made, target(Scripted(ROLE, HELLO, STOP, DONE)), surface=messages)
    sink = Remembered()
    assert reply.stream is not None
    reply.stream.attach(sink)
    assert sink.data.startswith(b"event: message_start")
    assert b"Hello" in sink.data
