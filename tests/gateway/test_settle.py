"""What happened becomes rows, numbers and one line: what they say, and that they agree."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.errors import (
    GatemillError,
    HeadersTooLarge,
    InvalidValue,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.guard import Finding, Use, Uses
from gatemill.core.limits import Budget, Limits, rules
from gatemill.core.ports import Incoming
from gatemill.gateway.parts import Caller
from gatemill.gateway.settle import refused
from gateway_parts import KEY, PRICE, SECRET, Stage, asking, route
from playbook import DONE, HELLO, ROLE, STOP, Scripted, delta, event, target
from transports import Remembered

USED = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10, "audio_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 4},
}
# input 55 * 1 + read 30 * 0.5 + write 10 * 1.5 + heard 5 * 3 + answer (26 + 20) * 2 + spoken 4 * 4
COST_MICROUSD = 208


def answer(usage=None, **fields) -> Incoming:
    said = {"choices": [], **fields}
    if usage is not None:
        said["usage"] = usage
    return Incoming(200, {}, msgspec.json.encode(said))


def priced(*answers, price=PRICE, **fields):
    return replace(target(*answers, **fields), price=price)


class Slow:
    """A transport whose answer takes some seconds of the stage's clock."""

    def __init__(self, clock, given, seconds=2) -> None:
        self._clock = clock
        self._given = given
        self._seconds = seconds

    async def exchange(self, out, timeouts, deadline_s):
        self._clock.advance(self._seconds)
        if isinstance(self._given, Exception):
            raise self._given
        return self._given

    open = exchange

    async def close(self) -> None:
        pass


async def streamed(stage: Stage):
    reply = await stage.ask("chat", asking(stream=True))
    reply.stream.attach(Remembered())
    return reply


# --- Rows ----------------------------------------------------------------------------------------


async def test_a_row_says_who_asked_what_of_whom_and_what_it_cost():
    stage = Stage(route(priced(answer(USED), model="gpt")))
    reply = await stage.ask()
    (row,) = stage.rows
    assert (row.attempt_id, row.request_id, row.attempt) == ("req_1-1", "req_1", 1)
    assert (row.key_id, row.operation, row.model) == ("k1", "chat", "m")
    assert (row.provider, row.target_model, row.stream) == ("a", "gpt", False)
    assert (row.status, row.error, row.estimated) == (200, "", False)
    assert (row.input_tokens, row.cache_read_tokens, row.cache_write_tokens) == (55, 30, 10)
    assert (row.input_audio_tokens, row.output_tokens) == (5, 26)
    assert (row.reasoning_tokens, row.output_audio_tokens) == (20, 4)
    assert (row.prompt_tokens, row.completion_tokens) == (100, 50)
    assert row.cost_microusd == reply.cost_microusd == COST_MICROUSD


async def test_a_row_is_dated_by_its_request_and_timed_by_its_attempt():
    stage = Stage()
    first, second = Slow(stage.clock, UpstreamUnreachable("no")), Slow(stage.clock, answer(USED))
    made = route(replace(target(), transport=first), replace(target(), transport=second))
    stage.gateway.routes.exact["m"] = made
    stage.clock.advance(10)
    await stage.ask(started_s=9.0)
    began = stage.clock.unix_s() - 5
    assert [row.at for row in stage.rows] == [began, began]
    assert [row.latency_ms for row in stage.rows] == [2000, 2000]
    assert [row.first_token_ms for row in stage.rows] == [None, 2000]
    (line,) = stage.lines
    assert (line["ts"], line["duration_ms"], line["ours_ms"]) == (began, 5000, 1000)


async def test_an_unknown_price_is_none_everywhere_and_counted():
    stage = Stage(route(priced(answer(USED), price=None)))
    reply = await stage.ask()
    assert reply.cost_microusd is None
    assert stage.rows[0].cost_microusd is None
    assert stage.lines[0]["cost_microusd"] is None
    assert stage.numbers['unpriced_attempts_total{provider="a"}'] == 1


async def test_a_known_price_beside_an_unknown_one_gives_no_total():
    cut = UpstreamTimeout("late")
    stage = Stage(route(priced(cut, price=None), priced(answer(USED), name="b")))
    reply = await stage.ask()
    assert reply.cost_microusd is None
    assert stage.rows[0].cost_microusd is None
    assert stage.rows[1].cost_microusd == COST_MICROUSD


async def test_a_free_model_costs_nothing_which_is_known():
    stage = Stage(route(priced(answer(USED), price=replace(PRICE, input=0, output=0))))
    await stage.ask()
    assert stage.rows[0].cost_microusd == 15 + 15 + 15 + 16
    assert "unpriced_attempts_total" not in str(stage.numbers)


async def test_cost_is_rounded_half_up_once_for_each_attempt():
    half = replace(PRICE, input=500_000, output=0)
    for tokens, cost in ((1, 1), (2, 1), (3, 2)):
        used = {"prompt_tokens": tokens, "completion_tokens": 0}
        stage = Stage(route(priced(answer(used), price=half)))
        await stage.ask()
        assert stage.rows[0].cost_microusd == cost


HUGE = [b"1e999", b"-1e999", b"1" + b"0" * 5000]


def with_number(number: bytes, **fields) -> bytes:
    return b'%b,"x":[%b]}' % (asking(**fields)[:-1], number)


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("given", [UpstreamTimeout("late"), answer()])
async def test_a_number_that_nobody_can_hold_leaves_a_row_and_no_hold(number, given):
    key = replace(KEY, limits=Limits(concurrency=1, budgets=(Budget("day", 10**9),)))
    stage = Stage(route(priced(given)), **{SECRET.decode(): key})
    asked = with_number(number, messages=[{"role": "user", "content": "x" * 400}])
    with suppress(UpstreamTimeout):
        await stage.ask(body=asked)
    (row,) = stage.rows
    assert row.estimated
    assert row.input_tokens >= 100
    levels = await stage.limiter.levels(rules("key", "k1", key.limits), stage.clock.unix_s())
    assert [level.held or level.used for level in levels] == [0, row.cost_microusd]
    assert levels[1].held == 0
    assert stage.book.held == {}
    assert stage.meter.in_flight == 0


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("operation", ["chat", "completions", "responses"])
async def test_a_number_that_cannot_be_translated_is_the_callers_mistake(number, operation):
    made = target(native=frozenset(), name="b")
    said = {"chat": "messages", "completions": "prompt", "responses": "input"}[operation]
    text = [{"role": "user", "content": "Hi"}] if operation == "chat" else "Hi"
    body = msgspec.json.encode({"model": "m", said: text})
    stage = Stage(route(made))
    with pytest.raises(InvalidValue) as caught:
        await stage.ask(operation, b'%b,"metadata":{"x":%b}}' % (body[:-1], number))
    assert "number" in caught.value.message
    assert stage.rows[0].cost_microusd == 0


# --- Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failed", [UpstreamUnreachable("no"), Incoming(500, {}, b""), Incoming(429, {}, b"")]
)
async def test_an_attempt_that_never_began_costs_nothing_even_without_a_price(failed):
    stage = Stage(route(priced(failed, price=None), priced(answer(USED), name="b")))
    reply = await stage.ask()
    row = stage.rows[0]
    assert (row.cost_microusd, row.prompt_tokens, row.completion_tokens) == (0, 0, 0)
    assert not row.estimated
    assert reply.cost_microusd == COST_MICROUSD
    assert "unpriced_attempts_total" not in str(stage.numbers)


@pytest.mark.parametrize("deadline_passes", [False, True])
async def test_a_timeout_before_anything_was_sent_costs_nothing(deadline_passes):
    stage = Stage()
    failed = UpstreamTimeout.unsent("Connecting took too long.")
    slow = Slow(stage.clock, failed, 1e6 if deadline_passes else 2)
    stage.gateway.routes.exact["m"] = route(replace(priced(), transport=slow))
    with pytest.raises(GatemillError) as caught:
        await stage.ask()
    assert caught.value.code == ("deadline_exceeded" if deadline_passes else "upstream_timeout")
    (row,) = stage.rows
    assert (row.cost_microusd, row.prompt_tokens, row.estimated) == (0, 0, False)


async def test_a_timeout_may_be_billed_so_the_prompt_is_estimated():
    stage = Stage(route(priced(UpstreamTimeout("late"))))
    with pytest.raises(UpstreamTimeout):
        await stage.ask("chat", asking(messages=[{"role": "user", "content": "x" * 400}]))
    (row,) = stage.rows
    assert row.estimated
    assert row.completion_tokens == 0
    assert row.input_tokens == pytest.approx(100, abs=5)
    assert row.cost_microusd == row.input_tokens


@pytest.mark.parametrize(
    "given",
    [
        Incoming(200, {}, b'{"input_tokens":5}'),
        Incoming(200, {}, b"{}"),
        UpstreamTimeout("late"),
        None,
    ],
)
async def test_counting_tokens_is_free_however_it_ends_and_whatever_a_request_costs(given):
    native = frozenset(("count_tokens",) if given is not None else ())
    made = priced(given, price=replace(PRICE, request=10**10), native=native)
    stage = Stage(route(made))
    with suppress(GatemillError):
        assert (await stage.ask("count_tokens")).cost_microusd == 0
    (row,) = stage.rows
    assert (row.cost_microusd, row.prompt_tokens) == (0, 0)


async def test_a_count_without_a_price_costs_nothing_which_is_known():
    stage = Stage(route(priced(price=None)))
    assert (await stage.ask("count_tokens")).cost_microusd == 0
    assert "unpriced_attempts_total" not in str(stage.numbers)


async def test_what_a_stream_said_before_it_failed_unheard_is_no_answer():
    failed = Scripted(ROLE, event(error={"code": "overloaded"}))
    source = Scripted(ROLE, HELLO, STOP, DONE)
    stage = Stage(route(priced(failed), priced(source, name="b")))
    await streamed(stage)
    first, last = stage.rows
    assert (first.error, first.cost_microusd, first.estimated) == ("upstream_error", 0, False)
    assert last.output_tokens == 4


async def test_a_cut_stream_is_billed_an_estimate_of_what_came():
    source = Scripted(ROLE, HELLO, HELLO, HELLO)
    stage = Stage(route(priced(source)))
    await streamed(stage)
    source.end(UpstreamInterrupted("cut"))
    (row,) = stage.rows
    assert (row.error, row.estimated) == ("upstream_interrupted", True)
    assert row.output_tokens == 4
    assert row.input_tokens > 0
    assert row.cost_microusd == row.input_tokens + 2 * row.output_tokens


async def test_what_the_provider_said_before_the_cut_is_believed():
    said = event(choices=[], usage={**USED, "completion_tokens": 1})
    source = Scripted(ROLE, HELLO, said)
    stage = Stage(route(priced(source)))
    reply = await streamed(stage)
    reply.stream.abort()
    (row,) = stage.rows
    assert (row.input_tokens, row.cache_read_tokens, row.cache_write_tokens) == (55, 30, 10)
    assert row.estimated


async def test_audio_that_the_provider_counted_before_the_cut_is_billed():
    source = Scripted(ROLE, HELLO, event(choices=[], usage=USED))
    stage = Stage(route(priced(source)))
    reply = await streamed(stage)
    reply.stream.abort()
    (row,) = stage.rows
    assert (row.input_audio_tokens, row.output_audio_tokens) == (5, 4)


async def test_reasoning_that_the_provider_counted_is_not_billed_again_as_answer():
    thoughts = [delta(reasoning_content="hm")] * 60
    used = {**USED, "completion_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 58}}
    source = Scripted(ROLE, *thoughts, event(choices=[], usage=used))
    stage = Stage(route(priced(source)))
    reply = await streamed(stage)
    reply.stream.abort()
    (row,) = stage.rows
    assert row.reasoning_tokens == 58
    # About one token an event, and there were 61: two of them were not thoughts, for all we know.
    assert row.completion_tokens <= 62


class Rude:
    """A guard that waits for somebody, who likes nothing."""

    async def judge(self, texts, call, side):
        return [[Finding(0, 1, "http", "rude")] for _ in texts]


async def test_a_whole_stream_that_a_guard_blocks_costs_what_the_provider_said():
    used = event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 1})
    source = Scripted(ROLE, HELLO, HELLO, STOP, used, DONE)
    uses = Uses(output=(Use("http", "block", hook="team"),))
    stage = Stage(route(priced(source)), uses=uses, remotes={"http": Rude()})
    reply = await stage.ask("chat", asking(stream=True))
    sink = Remembered()
    reply.stream.attach(sink)
    await sink.end()
    (row,) = stage.rows
    assert (row.error, row.cost_microusd, row.estimated) == ("content_filter", 7 + 2, False)


async def test_a_stream_without_usage_is_estimated_and_still_a_success():
    source = Scripted(ROLE, HELLO)
    stage = Stage(route(priced(source)))
    await streamed(stage)
    source.say(STOP + DONE)
    source.end()
    (row,) = stage.rows
    assert (row.status, row.error, row.estimated) == (200, "", True)
    assert row.output_tokens == 4
    assert row.input_tokens > 0


async def test_an_answer_without_usage_is_estimated_by_size():
    stage = Stage(route(priced(answer(system_fingerprint="x" * 400))))
    await stage.ask()
    (row,) = stage.rows
    assert row.estimated
    assert row.output_tokens > 90


# --- Numbers -------------------------------------------------------------------------------------


async def test_metrics_add_up_what_the_rows_say():
    stage = Stage(route(priced(UpstreamUnreachable("no")), priced(answer(USED), name="b")))
    await stage.ask()
    seen = stage.numbers
    assert seen['requests_total{model="m",operation="chat",provider="b",status="200"}'] == 1
    assert seen['attempts_total{outcome="upstream_unreachable",provider="a"}'] == 1
    assert seen['attempts_total{outcome="ok",provider="b"}'] == 1
    tokens = {
        direction: seen[f'tokens_total{{direction="{direction}",model="m",provider="b"}}']
        for direction in ("input", "cache_read", "cache_write", "output")
    }
    assert tokens == {"input": 60, "cache_read": 30, "cache_write": 10, "output": 50}
    assert seen['cost_usd_total{model="m",provider="b"}'] == COST_MICROUSD / 1e6
    assert not [name for name in seen if name.startswith("errors_total")]


async def test_tokens_of_every_attempt_are_counted_not_only_of_the_last():
    stage = Stage(route(priced(UpstreamTimeout("late")), priced(answer(USED), name="b")))
    await stage.ask()
    seen = stage.numbers
    dollars = sum(value for name, value in seen.items() if name.startswith("cost_usd_total"))
    assert dollars == pytest.approx(sum(row.cost_microusd for row in stage.rows) / 1e6)


async def test_the_label_of_a_request_is_the_configured_name_not_the_callers_words():
    stage = Stage(route(target(answer(USED), model="*"), name="gpt-*"))
    await stage.ask("chat", asking(model="gpt-whatever"))
    assert (
        'requests_total{model="gpt-*",operation="chat",provider="a",status="200"}' in stage.numbers
    )
    assert "whatever" not in str(stage.numbers)


async def test_a_refusal_before_any_body_is_counted_under_its_operation():
    stage = Stage()
    error = HeadersTooLarge("Too many.")
    stage.clock.advance(3)
    caller = Caller(secret=None, started_s=1.0, client_request_id="mine", retries=2)
    refused(stage.gateway, "http", caller, "req_9", error)
    assert stage.rows == []
    seen = stage.numbers
    assert seen['requests_total{model="",operation="http",provider="",status="431"}'] == 1
    assert seen['errors_total{code="headers_too_large"}'] == 1
    (line,) = stage.lines
    assert (line["request_id"], line["operation"], line["status"]) == ("req_9", "http", 431)
    assert (line["client_request_id"], line["retries"], line["duration_ms"]) == ("mine", 2, 2000)
    assert line["ts"] == stage.clock.unix_s() - 2


async def test_a_failed_request_is_counted_by_the_status_the_caller_saw():
    stage = Stage(route(target(UpstreamTimeout("late"))))
    with pytest.raises(GatemillError):
        await stage.ask()
    seen = stage.numbers
    assert seen['requests_total{model="m",operation="chat",provider="a",status="504"}'] == 1
    assert seen['errors_total{code="upstream_timeout"}'] == 1
    assert seen['request_duration_seconds_count{model="m",operation="chat"}'] == 1
