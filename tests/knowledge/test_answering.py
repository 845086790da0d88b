"""Answers from passages: whole, as they come, refused, broken off, and none."""

from __future__ import annotations

from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gatemill.core.call import Key
from gatemill.core.errors import BudgetSpent, RateLimited, UpstreamBadReply, UpstreamInterrupted
from gatemill.core.limits import Budget, Limits
from gatemill.core.ports import Incoming
from gatemill.gateway.parts import Caller
from gatemill.knowledge import passages
from gatemill.knowledge.answering import Answering, Question
from gatemill.knowledge.asking import Asking
from gatemill.knowledge.retrieval import Passage
from gateway_parts import PRICE, SECRET, Stage, route
from playbook import DONE, ROLE, STOP, USAGE, Scripted, delta, event, target

FOUND = [
    Passage("c1", "file-1", "a.md", {}, 0, 8, "It rains", 1.0, 1, None, None),
    Passage("c2", "file-2", "b.md", {}, 4, 12, "It snows", 0.5, 2, None, None),
]
ASKED = Question(text="What falls?", model="m", context_tokens=4000)


def completion(content: Any) -> Incoming:
    message = {"role": "assistant", "content": content}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    return Incoming(200, {}, msgspec.json.encode(body))


def priced(*answers: Any) -> Any:
    made = target(*answers)
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return type(made)(**fields | {"price": PRICE})


def answering(stage: Stage, found: Any = FOUND, asked: Question = ASKED) -> Answering:
    caller = Caller(secret=SECRET, started_s=0.0)
    return Answering(Asking(stage.gateway, caller, "req_9"), asked, found)


def sent(made: Any) -> Any:
    """The body that the provider got."""
    return msgspec.json.decode(made.transport.asked[0].body)


async def test_an_answer_cites_what_it_was_given():
    made = priced(completion("Rain [1] and hail [7]."))
    stage = Stage(route(made))
    one = answering(stage)
    await one.whole()
    assert (one.text, one.model, one.cited) == ("Rain [1] and hail [7].", "m", [1])
    system, user = sent(made)["messages"]
    assert (system["role"], system["content"]) == ("system", passages.INSTRUCTIONS)
    assert user == {"role": "user", "content": passages.question(FOUND, "What falls?")}
    assert [row.request_id for row in stage.rows] == ["req_9-answer"]
    spent = one._asking.spent
    assert (spent.input_tokens, spent.output_tokens, spent.calls) == (7, 3, 1)
    assert spent.cost_microusd == 7 * 1 + 3 * 2


async def test_a_question_that_says_no_is_not_recorded():
    taken = []
    stage = Stage(route(target(completion("Rain."), completion("Rain."))))
    recorder = SimpleNamespace(take=lambda call, _reply, _error: taken.append(call.id))
    gateway = msgspec.structs.replace(stage.gateway, recorder=recorder)
    for number, is_recorded in enumerate((False, True)):
        caller = Caller(secret=SECRET, started_s=0.0, is_recorded=is_recorded)
        await Answering(Asking(gateway, caller, f"req_{number}"), ASKED, FOUND).whole()
    assert taken == ["req_1-answer"]


async def test_an_unknown_price_is_an_unknown_cost():
    one = answering(Stage(route(target(completion("Rain.")))))
    await one.whole()
    assert one._asking.spent.cost_microusd is None


async def test_a_conversation_goes_before_the_question_and_a_prompt_replaces_our_words():
    made = target(completion("Rain."))
    history = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
    asked = msgspec.structs.replace(ASKED, history=history)
    one = answering(Stage(route(made)), asked=asked)
    await one.whole()
    assert [each["role"] for each in sent(made)["messages"]] == [
        *("system", "user", "assistant", "user")
    ]
    own = msgspec.structs.replace(asked, prompt="house@live", variables={"tone": "dry"})
    body = msgspec.json.decode(answering(Stage(), asked=own)._body(stream=True))
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert (body["prompt_id"], body["prompt_variables"]) == ("house@live", {"tone": "dry"})
    assert body["stream"] is True


async def test_passages_that_do_not_fit_are_not_given():
    made = target(completion("[2]"))
    one = answering(Stage(route(made)), asked=msgspec.structs.replace(ASKED, context_tokens=5))
    await one.whole()
    assert [each.chunk_id for each in one.given] == ["c1"]
    assert one.cited == [], "the second was not given"
    assert "It snows" not in sent(made)["messages"][1]["content"]


async def test_nothing_found_is_answered_without_a_model():
    made = target()
    one = answering(Stage(route(made)), [])
    await one.whole()
    assert (one.text, one.model, one.cited) == (passages.NOTHING, None, [])
    streamed = answering(Stage(route(made)), [])
    await streamed.open()
    (chunk,) = [event async for event in streamed.events()]
    await streamed.close()
    said = msgspec.json.decode(chunk.removeprefix(b"data: "))
    assert said["choices"][0]["delta"]["content"] == passages.NOTHING == streamed.text
    assert made.transport.asked == []


@pytest.mark.parametrize("content", [None, "", "no"])
async def test_an_answer_without_content_is_empty(content: Any):
    one = answering(Stage(route(target(completion(content)))))
    await one.whole()
    assert one.text == (content or "")


async def test_an_answer_of_another_shape_is_the_providers_fault():
    one = answering(Stage(route(target(Incoming(200, {}, b'{"choices":[]}')))))
    with pytest.raises(UpstreamBadReply):
        await one.whole()


# --- Streams ---------------------------------------------------------------------------------------


async def test_a_stream_is_passed_on_without_its_frame_and_its_cost_is_known():
    odd = event(choices=None)
    source = Scripted(ROLE, odd, delta(content="Rain "), delta(content="[1][9]"), STOP, USAGE, DONE)
    stage = Stage(route(priced(source)))
    one = answering(stage)
    await one.open()
    source.end()
    events = [event async for event in one.events()]
    await one.close()
    assert b"".join(events).count(b"data: ") == len(events) >= 4
    assert DONE not in events
    assert (one.text, one.cited) == ("Rain [1][9]", [1])
    spent = one._asking.spent
    assert (spent.input_tokens, spent.output_tokens, spent.cost_microusd) == (7, 3, 13)
    assert [row.error for row in stage.rows] == [""]


async def test_a_budget_refuses_before_a_stream_begins():
    spent = Limits(budgets=(Budget("month", 1, hard=True),))
    stage = Stage(route(priced()), default=spent)
    stage.spent = 5
    one = answering(stage)
    with pytest.raises(BudgetSpent):
        await one.open()
    await one.close()
    assert stage.rows == []


async def test_a_stream_that_breaks_fails_once_and_is_in_the_ledger():
    source = Scripted(ROLE, delta(content="Ra"))
    stage = Stage(route(target(source)))
    one = answering(stage)
    await one.open()
    events = one.events()
    assert b"Ra" in await anext(events) + await anext(events)
    source.end(UpstreamInterrupted("cut"))
    with pytest.raises(UpstreamInterrupted):
        await anext(events)
    await one.close()
    assert [row.error for row in stage.rows] == ["upstream_interrupted"]


async def test_who_leaves_a_stream_hangs_up_on_the_provider():
    source = Scripted(ROLE, delta(content="Ra"))
    stage = Stage(route(target(source)))
    one = answering(stage)
    await one.open()
    async with aclosing(one.events()) as events:
        await anext(events)
    await one.close()
    assert source.calls[-1] == "abort"
    assert [row.error for row in stage.rows] == ["client_closed_request"]
    assert stage.meter.in_flight == 0


async def test_who_leaves_before_the_first_word_hangs_up_too():
    source = Scripted()
    stage = Stage(route(target(source)))
    one = answering(stage)
    await one.open()  # the provider takes longer than that
    await one.close()
    assert source.calls[-1] == "abort"
    assert [row.error for row in stage.rows] == ["client_closed_request"]


async def test_who_leaves_between_the_first_word_and_reading_hangs_up_too():
    source = Scripted(ROLE, delta(content="Ra"))
    stage = Stage(route(target(source)))
    one = answering(stage)
    await one.open()
    await one.close()
    await one.close()
    assert source.calls[-1] == "abort"
    assert stage.meter.in_flight == 0


# --- A question that asks no model -------------------------------------------------------------------


async def test_a_question_without_models_counts_as_a_request():
    few = Limits(requests_per_minute=1, concurrency=1)
    stage = Stage(**{"gm-two": Key(id="two", name="two", limits=few)})
    asking = Asking(stage.gateway, Caller(secret=b"gm-two", started_s=0.0), "req_1")
    async with asking.admitted():
        assert stage.meter.in_flight == 1
    assert stage.meter.in_flight == 0
    with pytest.raises(RateLimited):
        async with asking.admitted():
            pass
    free = Asking(stage.gateway, Caller(secret=SECRET, started_s=0.0), "req_2")
    async with free.admitted():
        assert stage.meter.in_flight == 1
    assert stage.meter.in_flight == 0


def test_a_name_leads_where_its_targets_are():
    stage = Stage(route(target(), target(name="b"), name="two"))
    asking = Asking(stage.gateway, Caller(secret=SECRET, started_s=0.0), "req_1")
    assert asking.labels("two") == ["a/m", "b/m"]
    assert asking.labels("none") == []
