"""One call against its targets: who is asked, in which order, and what is written of each try."""

from __future__ import annotations

import asyncio
import collections
import sys
from pathlib import Path

import msgspec
import pytest

import gatemill
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
from gatemill.wire import chat, completions, count_tokens, messages, responses
from playbook import DONE, HELLO, ROLE, STOP, USAGE, Scripted, Trying, call, event, target
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


async def run(made, *targets, surface=chat):
    # One attempt for each target: what follows a failure at the same one is told in test_course.
    tries = Trying(attempts_max=len(targets)).tries
    return await attempt(targets, surface, made, tries)


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


async def test_a_caller_who_leaves_in_the_moment_of_the_end_leaves_a_whole_attempt():
    source = Scripted()
    made = call(stream=True)
    task = asyncio.ensure_future(run(made, target(source)))
    await asyncio.sleep(0)
    source.say(ROLE + HELLO + STOP + USAGE + DONE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (tried,) = made.attempts
    assert (tried.status, tried.error) == (200, "")
    assert tried.usage is not None
    assert (tried.usage.input, tried.usage.output, tried.usage.estimated) == (7, 3, False)
    assert "abort" not in source.calls


async def test_a_caller_who_leaves_in_the_moment_of_a_failure_does_not_hide_it():
    source = Scripted()
    made = call(stream=True)
    task = asyncio.ensure_future(run(made, target(source)))
    await asyncio.sleep(0)
    source.end(UpstreamInterrupted("cut"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (tried,) = made.attempts
    assert tried.error == UpstreamInterrupted.code


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


async def test_what_the_hub_cannot_carry_is_refused_where_that_is_asked_for():
    made = call(max_tokens=5, top_k=3)
    made.operation = "messages"
    place = target(GOOD, refuse_hints=True)
    error = await failure(made, place, surface=messages)
    assert type(error) is UnsupportedParameter
    assert error.param == "top_k"
    assert place.transport.asked == []


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


# --- Where a hard budget bounds the answer -------------------------------------------------------


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_chat_without_a_maximum_gets_the_cap_in_the_vendors_field(field: str):
    made, place = call(), target(GOOD, output_field=field)
    made.output_cap = 77
    await run(made, place)
    sent = msgspec.json.decode(place.transport.asked[0].body)
    assert sent == {**msgspec.json.decode(made.body), field: 77}


@pytest.mark.parametrize(
    ("surface", "field", "said"),
    [
        (completions, "max_tokens", {"prompt": "Hi"}),
        (responses, "max_output_tokens", {"input": "Hi"}),
    ],
)
async def test_other_operations_get_the_cap_in_their_own_field(surface, field, said):
    made, place = call(), target(DOWN)
    made.operation, made.output_cap = surface.NAME, 77
    made.body = msgspec.json.encode({"model": "m", **said})
    await failure(made, place, surface=surface)
    assert msgspec.json.decode(place.transport.asked[0].body)[field] == 77


async def test_embeddings_have_no_output_to_cap():
    from gatemill.wire import embeddings

    made, place = call(), target(DOWN)
    made.operation, made.output_cap = "embeddings", 77
    made.body = msgspec.json.encode({"model": "m", "input": "Hi"})
    await failure(made, place, surface=embeddings)
    assert place.transport.asked[0].body == made.body


@pytest.mark.parametrize(("own", "sent"), [(None, 77), (5, 5)])
async def test_a_translated_request_gets_the_cap_unless_it_has_one(own: int | None, sent: int):
    made = call(**({} if own is None else {"max_completion_tokens": own}))
    made.output_cap = 77
    place = msgspec.structs.replace(target(DOWN), dialect=anthropic)
    await failure(made, place)
    assert msgspec.json.decode(place.transport.asked[0].body)["max_tokens"] == sent


# --- What a count of tokens falls back to ----------------------------------------------------------


async def test_tokens_are_estimated_when_those_who_can_count_fail():
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}
    made = call()
    made.operation, made.body = count_tokens.NAME, msgspec.json.encode(said)
    counts = target(DOWN, native=frozenset((count_tokens.NAME,)))
    silent = target(name="b")
    reply = await run(made, counts, silent, surface=count_tokens)
    assert msgspec.json.decode(reply.body)["input_tokens"] > 0
    assert [tried.error for tried in made.attempts] == ["upstream_overloaded", ""]
    assert silent.transport.asked == []


@pytest.mark.parametrize("down", [DOWN, Incoming(400, {}, b"{}")])
async def test_or_they_are_not_where_nobody_is_left_or_the_caller_is_wrong(down):
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}
    made = call()
    made.operation, made.body = count_tokens.NAME, msgspec.json.encode(said)
    counts = target(down, native=frozenset((count_tokens.NAME,)))
    places = (counts,) if down is DOWN else (counts, target(name="b"))
    await failure(made, *places, surface=count_tokens)
    assert len(made.attempts) == 1


# --- Speed -----------------------------------------------------------------------------------------

RESILIENCE_CALLS_MAX = 15  # Python calls of a warm chat beyond asking its only target
_ROOT = Path(gatemill.__file__).parent
_RESILIENCE = ("course", "lane", "keys", "outcome")
_RESILIENCE += ("breaker", "retry_budget", "backoff", "adaptive", "ewma")


async def test_a_warm_chat_pays_few_calls_for_resilience_and_waits_for_nothing():
    place, trying = target(GOOD, GOOD), Trying()
    await attempt([place], chat, call(), trying.tries)
    counted: collections.Counter[str] = collections.Counter()

    def count(frame, event, _):
        path = Path(frame.f_code.co_filename)
        ours = path.is_relative_to(_ROOT) and path.stem in _RESILIENCE
        if event == "call" and (ours or frame.f_code.co_name in {"attempt", "_attempt"}):
            counted[f"{path.stem}.{frame.f_code.co_qualname}"] += 1

    warm = attempt([place], chat, call(), trying.tries)
    sys.setprofile(count)
    try:
        with pytest.raises(StopIteration) as done:
            warm.send(None)  # it ends in the first step: nothing suspends but the transport
    finally:
        sys.setprofile(None)
    assert done.value.value.body == GOOD.body
    assert 0 < counted.total() <= RESILIENCE_CALLS_MAX, counted
