"""One question to each of many documents."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gatemill.core.errors import InvalidValue, ModelNotFound, UpstreamBadReply
from gatemill.jobs.kinds import documents
from gatemill.jobs.trial import Trial
from gateway_parts import KEY, Stage, route

TWO = [{"id": "a", "text": "the sea"}, {"id": "b", "text": "the mill"}]


def says(content: Any, finish: str = "stop", **more: Any) -> Any:
    message = {"role": "assistant", "content": content, **more}
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


async def test_each_document_is_asked_by_itself():
    trial = Trial()
    found = await trial.run(documents, model="m", instruction="Sum up.", documents=TWO)
    assert found["data"] == [
        {"id": "a", "answer": "the sea", "finish_reason": "stop"},
        {"id": "b", "answer": "the mill", "finish_reason": "stop"},
    ]
    assert found["failed"] == 0
    operation, body = trial.asked[0]
    assert operation == "chat"
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Sum up."},
            {"role": "user", "content": "the sea"},
        ],
    }
    assert (trial.told[-1].current, trial.told[-1].total) == (2, 2)


async def test_limits_of_an_answer_are_sent():
    trial = Trial()
    ask = {"model": "m", "instruction": "x", "documents": TWO, "max_tokens": 5, "temperature": 0.5}
    await trial.run(documents, **ask)
    assert trial.asked[0][1]["max_completion_tokens"] == 5
    assert trial.asked[0][1]["temperature"] == 0.5


@pytest.mark.parametrize(
    "answer", [says(None, refusal="I will not."), says(None, "content_filter")]
)
async def test_a_refusal_is_an_error_of_its_document(answer: Any):
    answers = [answer, says("fine", "length")]
    trial = Trial(lambda operation, body: answers.pop(0))
    found = await trial.run(documents, model="m", instruction="x", documents=TWO, concurrency=1)
    assert found["data"][0]["error"]["code"] == "content_policy_violation"
    assert found["data"][1] == {"id": "b", "answer": "fine", "finish_reason": "length"}
    assert found["failed"] == 1
    assert found["usage"]["total_tokens"] == 3


async def test_an_answer_without_a_choice_is_the_providers_fault():
    trial = Trial(lambda operation, body: {"choices": []})
    with pytest.raises(UpstreamBadReply):
        await trial.run(documents, model="m", instruction="x", documents=TWO)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"documents": [{"id": "", "text": "a"}]}, r"\.id"),
        ({"documents": [{"id": "a", "text": ""}]}, r"\.text"),
        ({"documents": [{"id": "a", "text": "b", "title": "c"}]}, "unknown field `title`"),
        ({"instruction": ""}, r"\$\.instruction"),
        ({"concurrency": 0}, r"\$\.concurrency"),
        ({"temperature": 3}, r"\$\.temperature"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_with_their_path(change: Any, path: str):
    with pytest.raises(msgspec.ValidationError, match=path):
        await Trial().run(
            documents, **{"model": "m", "instruction": "x", "documents": TWO, **change}
        )


def test_an_id_that_stands_twice_is_refused():
    args = msgspec.convert(
        {"model": "m", "instruction": "x", "documents": [*TWO, TWO[0]]}, documents.Args
    )
    with pytest.raises(InvalidValue) as caught:
        documents.check(args, KEY, Stage(route()).gateway)
    assert caught.value.param == "documents.2.id"


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"model": "n"}, ModelNotFound), ({"max_tokens": 11}, InvalidValue)],
)
def test_what_the_model_would_refuse_is_refused(change: Any, kind: Any):
    args = msgspec.convert(
        {"model": "m", "instruction": "x", "documents": TWO, **change}, documents.Args
    )
    with pytest.raises(kind):
        documents.check(args, KEY, Stage(route(output_max=10)).gateway)
