"""What is sent again, how two answers differ, and what all of it comes to."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.core.call import Attempt, Call, Head, Reply
from gatemill.core.errors import UnsupportedOperation
from gatemill.core.job import Problem
from gatemill.jobs.replaying import (
    EXCERPT_CHARS,
    Against,
    Figures,
    Row,
    bare,
    body_of,
    compared,
    cosine,
    summed,
    telling,
    used_now,
    used_then,
    with_texts,
)
from gatemill.ledger.recordings import Recording
from gatemill.wire.said import Said
from usage_rows import usage_row

TURNS = [{"role": "user", "content": "hi"}]
NOTHING = Figures(), Figures()


def recording(body=None, **fields):
    said = {
        "request_id": "req_1",
        "at": 0.0,
        "key_id": "k1",
        "operation": "chat",
        "model": "m",
        "streamed": False,
        "status": 200,
        "error": "",
        "cache": "",
        "size": 9,
        "body": msgspec.json.encode(body or {"model": "m", "messages": TURNS}),
        "filled": None,
        "answer": b"{}",
    }
    return Recording(**{**said, **fields})


def sent(against=None, **fields):
    return msgspec.json.decode(body_of(recording(**fields), against or Against()))


def test_a_request_is_sent_as_it_was_but_for_its_stream():
    body = {"model": "m", "messages": TURNS, "stream": True, "stream_options": {}, "top_p": 0.5}
    assert sent(body=body) == {"model": "m", "messages": TURNS, "top_p": 0.5}


def test_a_request_is_sent_as_its_prompt_and_features_made_it():
    filled = msgspec.json.encode({"model": "m", "messages": [], "features": {"user.tier": "gold"}})
    assert sent(filled=filled)["features"] == {"user.tier": "gold"}


def test_another_model_and_other_fields_replace_its_own():
    body = {"model": "m", "messages": TURNS, "temperature": 1, "seed": 7}
    against = Against("other", {"temperature": 0, "seed": None, "top_k": None})
    assert sent(against, body=body) == {"model": "other", "messages": TURNS, "temperature": 0}


def test_another_prompt_takes_the_body_as_the_caller_sent_it():
    body = {"model": "m", "prompt_id": "greet:1", "prompt_variables": {"a": 1}}
    found = sent(Against(prompt="greet:2"), body=body, filled=b'{"model":"m","messages":[]}')
    assert found == {"model": "m", "prompt_id": "greet:2", "prompt_variables": {"a": 1}}
    with pytest.raises(UnsupportedOperation):
        body_of(recording(operation="messages"), Against(prompt="greet:2"))


def test_what_was_used_then_is_the_sum_of_its_attempts():
    rows = [
        usage_row(1, attempt=1, cost_microusd=5, latency_ms=10.0),
        usage_row(1, attempt=2, cost_microusd=7, latency_ms=30.0, input_tokens=11, output_tokens=3),
    ]
    found = used_then(rows, recording())
    assert (found.cost_microusd, found.latency_ms) == (12, 40.0)
    assert found.output_tokens == rows[1].completion_tokens
    unpriced = [*rows, usage_row(1, attempt=3, cost_microusd=None)]
    assert used_then(unpriced, recording()).cost_microusd is None
    assert used_then([], recording()) == Figures()
    assert used_then(rows, recording(cache="hit")) == Figures()


def test_what_is_used_now_is_timed_from_the_first_attempt_to_the_last():
    attempts = [Attempt(None, 1, 1.0, 2.0), Attempt(None, 2, 3.0, 4.5)]
    call = Call("r", "chat", b"", Head("m"), 0.0, 0.0, attempts=attempts)
    assert used_now(Reply(call=call, cost_microusd=9), (1, 2)) == Figures(9, 3500.0, 1, 2)
    nobody = Call("r", "chat", b"", Head("m"), 0.0, 0.0)
    assert used_now(Reply(call=nobody), (1, 2)).latency_ms is None


@pytest.mark.parametrize(
    ("before", "after", "equal", "alike"),
    [
        (Said("Hi"), Said("Hi"), True, True),
        (Said("Hi"), Said(" hi\n"), False, True),
        (Said("Hi"), Said("Ho"), False, False),
        (Said("", choices=("f",)), Said("", choices=("g",)), False, False),
        (Said(), Said(), None, None),
    ],
)
def test_answers_are_compared(before, after, equal, alike):
    row = compared(recording(), (before, after), NOTHING, "p/m")
    assert (row.equal, row.alike) == (equal, alike)


def test_whether_they_are_json_counts_where_one_is_or_it_was_asked_for():
    sides = Said("{}"), Said("no")
    assert compared(recording(), sides, NOTHING, "p/m").json == (True, False)
    assert compared(recording(), sides[1:] * 2, NOTHING, "p/m").json is None
    asks = recording({"model": "m", "messages": TURNS, "response_format": {"type": "json_object"}})
    assert compared(asks, sides[1:] * 2, NOTHING, "p/m").json == (False, False)


def test_figures_stand_side_by_side():
    used = Figures(1, 2.0, 3, None), Figures(None, 4.0, 5, None)
    row = compared(recording(), (Said("a", "stop"), Said("a", "length")), used, "p/m")
    assert (row.cost_microusd, row.latency_ms, row.prompt_tokens) == ((1, None), (2.0, 4.0), (3, 5))
    assert row.output_tokens is None
    assert (row.finish, row.target) == (("stop", "length"), "p/m")
    assert compared(recording(), (Said("a", "stop"), Said("a")), used, "").finish is None


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        ({"messages": TURNS}, "user: hi"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {}]}]},
            "user: a",
        ),
        ({"input": "plain"}, "plain"),
        ({"input": ["one", {"role": "user", "content": None}]}, "one\n\nuser: "),
        ({"prompt": "old"}, "old"),
        ({}, ""),
    ],
)
def test_texts_are_kept_for_a_judge_and_shortened_for_the_result(body, prompt):
    sides = Said("b" * 999), Said("a")
    row = with_texts(Row("req_1"), recording({"model": "m", **body}), sides, 500)
    assert (row.texts, row.prompt) == (("b" * 500, "a"), prompt)
    shown = bare(row, "after", texts=True)
    assert (shown.texts, shown.prompt) == (("b" * EXCERPT_CHARS, "a"), "")
    assert shown.verdict == "after"
    assert bare(row, None, texts=False).texts is None


ROWS = [
    Row("good", equal=True, alike=True, cost_microusd=(10, 4), similarity=1.0, finish=("a", "a")),
    Row("close", equal=False, alike=True, cost_microusd=(20, 8), latency_ms=(5.0, 9.0)),
    Row(
        "far", equal=False, alike=False, cost_microusd=(1, None), similarity=0.5, json=(True, False)
    ),
    Row("lost", error=Problem("upstream_timeout", "late")),
    Row("left out", skipped="not recorded"),
]


def test_all_rows_together():
    found = summed(ROWS)
    assert (found.compared, found.failed, found.skipped) == (3, 1, 1)
    assert found.errors == {"upstream_timeout": 1}
    assert (found.answers.equal.count, found.answers.equal.share) == (3, pytest.approx(1 / 3))
    assert found.answers.alike.share == pytest.approx(2 / 3)
    assert (found.answers.json_before.share, found.answers.json_after.share) == (1.0, 0.0)
    assert found.answers.same_finish.count == 1
    assert (found.cost_microusd.count, found.cost_microusd.difference) == (2, -9.0)
    assert (found.latency_ms.count, found.latency_ms.difference) == (1, 4.0)
    assert found.prompt_tokens is None
    assert found.similarity.after == 0.75


def test_nothing_comes_to_nothing():
    found = summed([])
    assert (found.compared, found.cost_microusd, found.answers.equal) == (0, None, None)


def test_rows_that_differ_most_stand_first():
    order = [row.request_id for row in telling(ROWS, 4)]
    assert order == ["lost", "far", "close", "good"]


@pytest.mark.parametrize(
    ("vectors", "value"),
    [
        ([[1.0, 0.0], [2.0, 0.0]], 1.0),
        ([[1.0, 0.0], [0.0, 3.0]], 0.0),
        ([[0.0, 0.0], [0.0, 3.0]], None),
        ([[1.0], [0.0, 3.0]], None),
        ([[1.0]], None),
    ],
)
def test_cosine(vectors, value):
    answer = {"data": [{"embedding": vector} for vector in vectors]}
    assert cosine(msgspec.json.encode(answer)) == value
    assert cosine(b"broken") is None
