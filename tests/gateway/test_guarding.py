"""The guards between admission and answer: what the provider gets, what the caller gets, what is written down."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.core.errors import (
    ContentBlocked,
    GatemillError,
    GuardUnavailable,
    InvalidValue,
    UpstreamUnreachable,
)
from gatemill.core.guard import Finding, Use, Uses
from gatemill.core.limits import Budget, Limits
from gatemill.core.ports import Incoming
from gatemill.gateway.routes import CacheRoute
from gatemill.policy.reserve import worst_microusd
from gateway_parts import KEY, PRICE, Stage, asking, route
from playbook import DONE, ROLE, STOP, USAGE, Scripted, delta, target
from transports import Remembered

MAIL = "anna.berg@example.org"
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
MASK = Use("pii", "mask")
BLOCK = Use("pii", "block")
SEES = CacheRoute(ttl_s=60.0, stale_s=0.0, scope="all", entry_bytes=1 << 20)


def told(text, **message):
    """An answer of the provider."""
    said = {"role": "assistant", "content": text, **message}
    return Incoming(
        200,
        {},
        msgspec.json.encode(
            {
                "id": "c1",
                "object": "chat.completion",
                "created": 1,
                "model": "upstream",
                "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            }
        ),
    )


def asked(text, **fields):
    return asking(messages=[{"role": "user", "content": text}], **fields)


def got(stage):
    """What the provider was sent."""
    (target,) = stage.gateway.routes.exact["m"].targets
    return [msgspec.json.decode(out.body) for out in target.transport.asked]


def stage_of(*answers, output=(), **parts):
    uses = Uses(input=parts.pop("input", ()), output=output)
    limits = parts.pop("limits", {})
    return Stage(route(target(*answers), **parts), uses=uses, **limits)


async def test_a_masked_text_is_replaced_for_the_provider_and_in_what_is_recorded():
    stage = stage_of(told("Hi"), input=(MASK,))
    reply = await stage.ask("chat", asked(f"Write to {MAIL} now"))
    assert got(stage)[0]["messages"][0]["content"] == "Write to [EMAIL] now"
    assert reply.call.verdicts[0] == reply.call.verdicts[0].__class__(
        "input", "pii", "email", "mask", 1, len(MAIL)
    )
    assert stage.lines[0]["guards"] == [["input", "pii", "email", "mask", 1, len(MAIL)]]
    assert MAIL not in stage.kept.data.decode()
    (row,) = stage.rows
    assert msgspec.json.decode(row.decision)["guards"][0]["kind"] == "email"
    assert MAIL not in row.decision


async def test_a_blocked_request_asks_nobody_costs_nothing_and_says_where_it_was():
    stage = stage_of(input=(Use("secrets", "block"),))
    with pytest.raises(ContentBlocked) as caught:
        await stage.ask("chat", asked(f"my token is {TOKEN}"))
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "content_filter", "messages.0.content")
    assert TOKEN not in error.message
    assert "secrets" in error.message
    assert error.headers.startswith(b"x-gatemill-guards: input;secrets;")
    assert stage.rows == []
    assert stage.meter.in_flight == 0
    assert stage.lines[0]["error"] == "content_filter"


async def test_what_was_hidden_from_the_provider_comes_back_in_the_answer():
    call = {"id": "t", "type": "function", "function": {"name": "mail", "arguments": ""}}
    call["function"]["arguments"] = '{"to":"[EMAIL_1]","cc":"[EMAIL_2] [EMAIL_9]"}'
    stage = stage_of(told("Wrote to [EMAIL_1].", tool_calls=[call]), input=(Use("pii", "restore"),))
    reply = await stage.ask("chat", asked(f"Write to {MAIL}, {MAIL} and o'x@example.com"))
    sent = got(stage)[0]["messages"][0]["content"]
    assert sent == "Write to [EMAIL_1], [EMAIL_1] and [EMAIL_2]"
    message = msgspec.json.decode(reply.body)["choices"][0]["message"]
    assert message["content"] == f"Wrote to {MAIL}."
    arguments = msgspec.json.decode(message["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"to": MAIL, "cc": "o'x@example.com [EMAIL_9]"}


async def test_a_placeholder_that_a_caller_writes_stands_for_itself():
    stage = stage_of(told("[EMAIL_1] is not [EMAIL_2]"), input=(Use("pii", "restore"),))
    reply = await stage.ask("chat", asked(f"Is [EMAIL_1] {MAIL}?"))
    assert got(stage)[0]["messages"][0]["content"] == "Is [EMAIL_1] [EMAIL_2]?"
    said = msgspec.json.decode(reply.body)["choices"][0]["message"]["content"]
    assert said == f"[EMAIL_1] is not {MAIL}"


async def test_a_name_that_is_blocked_is_in_no_path():
    stage = stage_of(input=(BLOCK,))
    for fields, path in (({"logit_bias": {MAIL: 1}}, "logit_bias"), ({MAIL: 1}, "body")):
        with pytest.raises(ContentBlocked) as caught:
            await stage.ask("chat", asked("Hi", **fields))
        assert caught.value.param == path
        assert "anna" not in caught.value.message


CARD = 4111111111111111


async def test_a_number_is_masked_and_what_holds_it_stays_json():
    call = {"id": "t", "type": "function", "function": {"name": "pay", "arguments": ""}}
    call["function"]["arguments"] = f'{{"card":{CARD},"also":["{CARD}",{CARD}]}}'
    stage = stage_of(told("Hi", tool_calls=[call]), input=(MASK,), output=(MASK,))
    free = {"card": CARD, "price": 19, "n": -0.5}
    reply = await stage.ask("chat", asked("Hi", metadata=free, logit_bias={MAIL: 1, "5": 2}))
    assert got(stage)[0]["logit_bias"] == {"[EMAIL]": 1, "5": 2}
    assert got(stage)[0]["metadata"] == {"card": "[CARD]", "price": 19, "n": -0.5}
    message = msgspec.json.decode(reply.body)["choices"][0]["message"]
    arguments = msgspec.json.decode(message["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"card": "[CARD]", "also": ["[CARD]", "[CARD]"]}


@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_arguments_that_flow_stay_json(cut):
    text = f'{{"card":{CARD},"to":"anna.berg\\u0040example.org","n":[{CARD}]}}'
    parts = [
        delta(tool_calls=[{"index": 0, "function": {"arguments": text[at : at + cut]}}])
        for at in range(0, len(text), cut)
    ]
    source = Scripted(ROLE, *parts, STOP, DONE)
    reply = await stage_of(source, output=(MASK,)).ask("chat", asked("Hi", stream=True))
    sink = Remembered()
    reply.stream.attach(sink)
    source.end()
    events = [line[6:] for line in sink.data.split(b"\n") if line.startswith(b"data: {")]
    deltas = [msgspec.json.decode(event)["choices"][0]["delta"] for event in events]
    calls = [call for one in deltas for call in one.get("tool_calls", ())]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert msgspec.json.decode(arguments) == {"card": "[CARD]", "to": "[EMAIL]", "n": ["[CARD]"]}


@pytest.mark.parametrize("cut", [1, 3, 1000])
async def test_a_stream_is_masked_and_filled_the_same_however_it_was_cut(cut):
    text = f"See [EMAIL_1], call {MAIL} or 4111 1111 1111 1111."
    parts = [delta(content=text[at : at + cut]) for at in range(0, len(text), cut)]
    source = Scripted(ROLE, *parts)
    stage = stage_of(source, input=(Use("pii", "restore"),), output=(MASK,))
    reply = await stage.ask("chat", asked("I am me@example.com", stream=True))
    sink = Remembered()
    reply.stream.attach(sink)
    source.say(STOP + USAGE + DONE)
    source.end()
    assert said(sink.data) == "See me@example.com, call [EMAIL] or [CARD]."
    assert sink.closed == [None]
    last = sink.data.splitlines()[-2]
    assert b'"guards":"input;pii;email;restore;1;14, output;pii;email;mask;1;21' in last
    assert stage.lines[0]["guards"][-1][:4] == ["output", "pii", "card", "mask"]


def said(data):
    events = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: {")]
    chunks = [msgspec.json.decode(event) for event in events]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


async def test_a_blocked_stream_stops_its_upstream_and_is_paid_for():
    source = Scripted(ROLE, delta(content="The address is "), delta(content=MAIL + " and more "))
    stage = stage_of(source, output=(BLOCK,))
    reply = await stage.ask("chat", asked("Hi", stream=True))
    sink = Remembered()
    reply.stream.attach(sink)
    source.say(delta(content="of this and that, and on it goes"))
    assert [type(error) for error in sink.closed] == [ContentBlocked]
    assert MAIL[:6] not in sink.data.decode()
    assert "abort" in source.calls
    (row,) = stage.rows
    assert (row.status, row.error) == (400, "content_filter")
    assert row.output_tokens > 0
    assert stage.meter.in_flight == 0


async def test_a_blocked_answer_is_paid_for_and_says_so_in_its_row():
    stage = stage_of(told(f"It is {MAIL}"), output=(BLOCK,))
    with pytest.raises(ContentBlocked) as caught:
        await stage.ask("chat", asked("Hi"))
    assert caught.value.param is None
    (row,) = stage.rows
    assert (row.status, row.error, row.input_tokens, row.output_tokens) == (
        400,
        "content_filter",
        5,
        2,
    )


async def test_each_hit_of_the_cache_is_guarded_anew_by_who_asks():
    strict = replace(KEY, id="k2", guards=Uses(output=(MASK,)))
    stage = Stage(route(target(told(f"It is {MAIL}")), cache=SEES), strict=strict)
    first = await stage.ask("chat", asked("Hi"))
    second = await stage.ask("chat", asked("Hi"), secret=b"strict")
    third = await stage.ask("chat", asked("Hi"))
    assert MAIL in first.body.decode()
    assert (second.call.cache, third.call.cache) == ("hit", "hit")
    assert "It is [EMAIL]" in second.body.decode()
    assert third.body == first.body


async def test_a_guard_that_only_logs_changes_no_byte():
    stage = stage_of(told(f"It is {MAIL}"), input=(Use("pii", "log"),), output=(Use("pii", "log"),))
    body = asked(f"I am {MAIL}")
    reply = await stage.ask("chat", body)
    assert got(stage)[0]["messages"][0]["content"] == f"I am {MAIL}"
    assert MAIL in reply.body.decode()
    assert [one.side for one in reply.call.verdicts] == ["input", "output"]


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("embeddings", {"model": "m", "input": [[1, 2, 3]]}),
        ("embeddings", {"model": "m", "input": [1, 2, 3]}),
        ("completions", {"model": "m", "prompt": [1, 2]}),
    ],
)
async def test_token_numbers_are_refused_where_a_guard_must_read_them(operation, body):
    stage = stage_of(input=(MASK,))
    with pytest.raises(InvalidValue, match="Send text"):
        await stage.ask(operation, msgspec.json.encode(body))


async def test_a_body_that_grew_is_held_for_or_refused():
    priced = replace(target(told("Hi")), price=PRICE)
    body = asked("a@b.de " * 40, max_tokens=1)
    longer = body.replace(b"a@b.de", b"[EMAIL]")
    most = worst_microusd(PRICE, len(body), 1)
    poor = replace(KEY, limits=Limits(budgets=(Budget("day", most),)))
    stage = Stage(route(priced), uses=Uses(input=(MASK,)), poor=poor)
    with pytest.raises(GatemillError, match="budget") as caught:
        await stage.ask("chat", body, secret=b"poor")
    assert caught.value.status in (402, 429)
    assert stage.rows == []
    enough = worst_microusd(PRICE, len(longer), 1)
    rich = replace(KEY, limits=Limits(budgets=(Budget("day", enough),)))
    stage = Stage(route(priced), uses=Uses(input=(MASK,)), rich=rich)
    reply = await stage.ask("chat", body, secret=b"rich")
    assert reply.call.hold.cost_microusd == enough


# --- Guards that wait for somebody ----------------------------------------------------------------


class Says:
    """A guard that finds a word."""

    def __init__(self, word, kind="rude", score=1.0):
        self.word = word
        self.kind = kind
        self.score = score
        self.seen = []

    async def judge(self, texts, call, side):
        self.seen.append((side, list(texts)))
        found = []
        for text in texts:
            at = text.encode().find(self.word.encode())
            place = Finding(at, at + len(self.word.encode()), "http", self.kind, self.score)
            found.append([place] if at >= 0 else [])
        return found


class Finds:
    """A guard that finds the same places in whatever text."""

    def __init__(self, *places):
        self.places = places

    async def judge(self, texts, call, side):
        found = [Finding(low, high, "http", "name") for low, high in self.places]
        return [found for _ in texts]


@pytest.mark.parametrize(
    ("arguments", "places", "left"),
    [
        ('{"a":"bcdefg"}', [(6, 9), (8, 12)], '{"a":"[NAME]"}'),  # what overlaps is one place
        ('{"a":12}', [(5, 7)], '{"a":"[NAME]"}'),
        ('{"a":"b"}', [(0, 9)], None),  # JSON as a whole cannot become a label
    ],
)
async def test_who_is_waited_for_leaves_json_whole(arguments, places, left):
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": arguments}}
    stage = Stage(
        route(target(told(None, tool_calls=[call]))),
        uses=Uses(output=(Use("http", "mask", hook="team"),)),
        remotes={"http": Finds(*places)},
    )
    if left is None:
        with pytest.raises(ContentBlocked):
            await stage.ask("chat", asked("Hi"))
        return
    reply = await stage.ask("chat", asked("Hi"))
    message = msgspec.json.decode(reply.body)["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["arguments"] == left


class Away:
    async def judge(self, texts, call, side):
        raise GuardUnavailable("nobody there") from UpstreamUnreachable("who hears anna@b.org")


async def test_who_is_waited_for_sees_what_local_guards_left():
    guard = Says("fool")
    stage = Stage(
        route(target(told("You fool"))),
        uses=Uses(
            input=(MASK, Use("http", "mask", hook="team")),
            output=(Use("http", "block", hook="team"),),
        ),
        remotes={"http": guard},
    )
    with pytest.raises(ContentBlocked):
        await stage.ask("chat", asked(f"fool at {MAIL}"))
    assert guard.seen == [("input", ["fool at [EMAIL]"]), ("output", ["You fool"])]
    assert got(stage)[0]["messages"][0]["content"] == "[RUDE] at [EMAIL]"


async def test_a_stream_is_held_for_who_is_waited_for():
    source = Scripted(ROLE, delta(content="You f"), delta(content=f"ool at {MAIL}"), STOP, DONE)
    guard = Says("fool")
    stage = Stage(
        route(target(source)),
        uses=Uses(output=(Use("http", "mask", hook="team"), MASK)),
        remotes={"http": guard},
    )
    reply = await stage.ask("chat", asked("Hi", stream=True))
    sink = Remembered()
    reply.stream.attach(sink)
    assert sink.parts == []
    source.end()
    await sink.end()
    assert said(sink.data) == "You [RUDE] at [EMAIL]"
    assert guard.seen == [("output", ["You fool at [EMAIL]"])]


async def test_nothing_passes_a_guard_that_is_away():
    stage = Stage(
        route(target(told("Hi"), told("Hi"))),
        uses=Uses(input=(Use("http", "block", hook="team"),)),
        remotes={"http": Away()},
    )
    with pytest.raises(GuardUnavailable, match=r"http team cannot answer \(upstream_unrea") as said:
        await stage.ask("chat", asked("Hi"))
    assert "anna" not in said.value.message
    assert stage.gateway.guards.counts.failures == {("http",): 1}
    stage.gateway.guards.passes_on_failure = True
    assert (await stage.ask("chat", asked("Hi"))).body


async def test_a_key_that_asks_for_a_guard_that_is_gone_gets_nothing():
    lost = Key(id="k3", name="k3", guards=Uses(input=(Use("http", "block", hook="gone"),)))
    stage = Stage(route(target(told("Hi"))), lost=lost)
    with pytest.raises(GuardUnavailable, match=r"guards\.hooks"):
        await stage.ask("chat", asked("Hi"), secret=b"lost")
