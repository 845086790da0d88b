"""One request for each of many items."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gatemill.core.errors import BudgetSpent, InvalidValue, ModelNotFound, UpstreamRefused
from gatemill.jobs.kinds import predict
from gatemill.jobs.trial import Trial
from gateway_parts import KEY, Stage, route


def bodies(trial: Trial) -> list[Any]:
    return [body for _, body in trial.asked]


async def test_each_text_is_a_chat():
    trial = Trial()
    found = await trial.run(predict, model="m", items=["one", "two"])
    texts = [row["output"]["choices"][0]["message"]["content"] for row in found["data"]]
    assert texts == ["one", "two"]
    assert [row["index"] for row in found["data"]] == [0, 1]
    assert found["failed"] == 0
    assert found["usage"]["total_tokens"] == 6
    assert bodies(trial)[0] == {"model": "m", "messages": [{"role": "user", "content": "one"}]}


async def test_a_template_and_params_stand_around_a_text():
    trial = Trial()
    system = {"role": "system", "content": "Be brief."}
    params = {"temperature": 0.5, "messages": [system]}
    await trial.run(
        predict, model="m", items=["sea {item}"], template="<{item}> {item}", params=params
    )
    user = {"role": "user", "content": "<sea {item}> sea {item}"}
    assert bodies(trial) == [{"model": "m", "temperature": 0.5, "messages": [system, user]}]


@pytest.mark.parametrize(
    ("operation", "field"),
    [("completions", "prompt"), ("embeddings", "input"), ("inference", "text"), ("responses", "input")],
)  # fmt: skip
async def test_a_text_stands_where_the_format_has_it(operation: str, field: str):
    answer = {"id": "x", "data": [], "choices": [], "output": [], "tokens_used": 2}
    trial = Trial(lambda _operation, body: answer)
    found = await trial.run(predict, model="m", items=["a"], operation=operation)
    assert trial.asked == [(operation, {"model": "m", field: "a"})]
    assert found["data"] == [{"index": 0, "output": answer}]


async def test_an_object_brings_its_own_fields():
    trial = Trial()
    messages = [{"role": "user", "content": "mine"}]
    await trial.run(
        predict,
        model="m",
        items=[{"messages": messages, "temperature": 1}],
        params={"temperature": 0, "top_p": 1},
        template="not for {item}",
    )
    assert bodies(trial) == [{"model": "m", "messages": messages, "temperature": 1, "top_p": 1}]


async def test_a_bad_item_fails_alone():
    def answer(operation: str, body: Any) -> Any:
        if body["messages"][0]["content"] == "bad":
            raise UpstreamRefused("no", param="messages.0.content")
        return {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    items = ["a", "bad", {"stream": True}, {"model": "other"}, "b"]
    found = await Trial(answer).run(predict, model="m", items=items)
    assert [("output" in row, row["index"]) for row in found["data"]] == [
        (True, 0),
        (False, 1),
        (False, 2),
        (False, 3),
        (True, 4),
    ]
    assert found["data"][1]["error"] == {
        "code": "upstream_invalid_request",
        "message": "no",
        "param": "messages.0.content",
    }
    assert found["data"][2]["error"]["param"] == "item.stream"
    assert found["data"][3]["error"]["param"] == "item.model"
    assert found["failed"] == 3
    assert found["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


async def test_a_job_that_broke_at_half_goes_on_there():
    failures = [BudgetSpent("no")]

    def answer(operation: str, body: Any) -> Any:
        if body["messages"][0]["content"] == "500" and failures:
            raise failures.pop()
        return {"choices": []}

    trial = Trial(answer, attempts_max=2)
    ask = {"model": "m", "items": [str(n) for n in range(1000)], "concurrency": 8}
    with pytest.raises(BudgetSpent):
        await trial.run(predict, **ask)
    told = trial.told[-1].current
    found = await trial.run(predict, **ask)
    assert len(found["data"]) == 1000
    assert len(trial.asked) == 1001, "only what failed was asked twice"
    assert all(each.current >= told for each in trial.told[-400:])


async def test_ten_thousand_items_are_a_job():
    found = await Trial().run(predict, model="m", items=["a"] * 10_000, concurrency=64)
    assert len(found["data"]) == 10_000


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"items": []}, r"\$\.items"),
        ({"items": [1]}, r"\$\.items"),
        ({"items": [""]}, r"\$\.items"),
        ({"items": ["a"] * 10_001}, r"\$\.items"),
        ({"concurrency": 65}, r"\$\.concurrency"),
        ({"operation": "count_tokens"}, r"\$\.operation"),
        ({"inputs": ["a"]}, "unknown field `inputs`"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_with_their_path(change: Any, path: str):
    with pytest.raises(msgspec.ValidationError, match=path):
        await Trial().run(predict, **{"model": "m", "items": ["a"], **change})


def _check(**more: Any) -> None:
    args = msgspec.convert({"model": "m", "items": ["a"], **more}, predict.Args)
    predict.check(args, KEY, Stage(route()).gateway)


def test_good_arguments_are_accepted():
    _check()
    _check(template="{item}", params={"messages": msgspec.Raw(b"[]")})


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"template": "nowhere"}, "template"),
        ({"template": "{item}" * 5}, "template"),
        ({"params": {"stream": msgspec.Raw(b"true")}}, "params.stream"),
        ({"params": {"model": msgspec.Raw(b'"n"')}}, "params.model"),
        ({"params": {"messages": msgspec.Raw(b"{}")}}, "params.messages"),
    ],
)
def test_what_no_item_could_be_sent_with_is_refused(more: Any, param: str):
    with pytest.raises(InvalidValue) as caught:
        _check(**more)
    assert caught.value.param == param


def test_an_unknown_model_is_refused():
    with pytest.raises(ModelNotFound):
        _check(model="n")
