"""A report over many documents: every passage once, in a tree, and never twice."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from gatemill.core.errors import BudgetSpent, ContentRefused, InvalidValue, ModelNotFound
from gatemill.jobs.context import Quit
from gatemill.jobs.kinds import report
from gatemill.jobs.trial import Trial
from gateway_parts import KEY, Stage, route

SMALL = {"model": "m", "chunk_tokens": 256, "summary_tokens": 2000, "concurrency": 4}


def documents(*words: int) -> list[dict[str, str]]:
    """Documents of so many words, each of them another one."""
    return [
        {"id": f"d{number}", "text": " ".join(f"w{number}.{at}" for at in range(count))}
        for number, count in enumerate(words)
    ]


def found_words(text: str) -> list[str]:
    return re.findall(r"w\d+\.\d+", text)


def keeps_words(operation: str, body: Any) -> Any:
    """A model that forgets nothing: its summary is all words of what it was given."""
    text = body["messages"][1]["content"]
    message = {"content": " ".join(found_words(text)) or text}
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


def kind_of(body: Any) -> str:
    words = body["messages"][0]["content"]
    return "map" if "passage" in words else "report" if "report over" in words else "merge"


async def test_every_word_of_every_document_arrives_once():
    trial = Trial(keeps_words)
    asked = documents(300, 1, 1000, 90)
    found = await trial.run(report, **SMALL, documents=asked)
    assert found_words(found["report"]) == [
        word for each in asked for word in found_words(each["text"])
    ]
    assert [section["id"] for section in found["sections"]] == ["d0", "d1", "d2", "d3"]
    assert found_words(found["sections"][2]["summary"]) == found_words(asked[2]["text"])
    assert found["failed"] == 0
    assert found["usage"]["total_tokens"] == 3 * len(trial.asked)
    assert (trial.told[-1].current, trial.told[-1].total) == (len(trial.asked), len(trial.asked))
    kinds = [kind_of(body) for _, body in trial.asked]
    assert kinds.count("report") == 1
    assert kinds.count("merge") > 3, "d2 alone has a tree of its own"


async def test_a_hundred_documents_are_merged_until_they_fit():
    trial = Trial(keeps_words)
    found = await trial.run(report, **SMALL, documents=documents(*[3] * 100))
    assert len(found_words(found["report"])) == 300
    most = max(len(re.findall(r"## d", body["messages"][1]["content"])) for _, body in trial.asked)
    assert most <= 3, "as many summaries as the context has room for"


async def test_one_short_document_is_two_calls():
    trial = Trial(keeps_words)
    found = await trial.run(report, model="m", documents=documents(5))
    assert [kind_of(body) for _, body in trial.asked] == ["map", "report"]
    assert found["report"] == "w0.0 w0.1 w0.2 w0.3 w0.4"
    assert trial.asked[0][1]["max_completion_tokens"] == 500
    assert trial.asked[1][1]["max_completion_tokens"] == 1500


async def test_the_readers_wish_is_told_to_every_call():
    trial = Trial(keeps_words)
    await trial.run(report, model="m", documents=documents(5), instruction="The costs.")
    for _, body in trial.asked:
        assert body["messages"][0]["content"].endswith("What matters to the reader: The costs.")


@pytest.mark.parametrize("at", [1, 5, 12, 20])
async def test_a_job_that_breaks_anywhere_pays_for_nothing_twice(at: int):
    class Died(Exception):
        pass

    deaths = [Died()]

    def answer(operation: str, body: Any) -> Any:
        if len(trial.asked) == at and deaths:
            raise deaths.pop()
        return keeps_words(operation, body)

    trial = Trial(answer, attempts_max=2)
    asked = documents(300, 1, 1000, 90)
    with pytest.raises(Died):
        await trial.run(report, **SMALL, documents=asked)
    paid, kept = len(trial.asked), len(trial.steps) - 1  # one of them is the shape
    found = await trial.run(report, **SMALL, documents=asked)
    whole = Trial(keeps_words)
    assert found == await whole.run(report, **SMALL, documents=asked)
    assert len(trial.asked) - paid == len(whole.asked) - kept
    assert paid - kept <= SMALL["concurrency"]


async def test_a_report_goes_on_as_it_was_cut_before():
    """Another configuration, with another context, would cut it in other places."""
    failures = [BudgetSpent("no")]

    def answer(operation: str, body: Any) -> Any:
        if len(trial.asked) == 3 and failures:
            raise failures.pop()
        return keeps_words(operation, body)

    trial = Trial(answer, attempts_max=2)
    asked = documents(1000)
    with pytest.raises(BudgetSpent):
        await trial.run(report, model="m", documents=asked, chunk_tokens=256)
    found = await trial.run(report, model="m", documents=asked, chunk_tokens=300)
    assert found_words(found["report"]) == found_words(asked[0]["text"])


def refusing(*words: str) -> Any:
    def answer(operation: str, body: Any) -> Any:
        text = body["messages"][1]["content"]
        if any(word in found_words(text) for word in words):
            raise ContentRefused("no")
        return keeps_words(operation, body)

    return answer


async def test_a_document_that_is_refused_is_missing_and_named():
    found = await Trial(refusing("w1.0")).run(report, **SMALL, documents=documents(3, 3, 3))
    assert "error" not in found["sections"][0]
    assert found["sections"][1]["error"]["code"] == "content_policy_violation"
    assert set(found_words(found["report"])) == {f"w{n}.{at}" for n in (0, 2) for at in range(3)}
    assert found["failed"] == 1


async def test_a_passage_that_is_refused_is_counted():
    found = await Trial(refusing("w0.0")).run(report, **SMALL, documents=documents(1000))
    assert found["sections"][0]["passages_failed"] == 1
    assert "w0.999" in found["report"]
    assert found["failed"] == 0


async def test_when_everything_is_refused_the_job_ends():
    with pytest.raises(Quit, match="content_policy_violation"):
        await Trial(refusing("w0.0", "w1.0")).run(report, **SMALL, documents=documents(3, 3))


@pytest.mark.parametrize("kind", ["merge", "report"])
async def test_a_refused_merge_of_everything_ends_the_job(kind: str):
    def answer(operation: str, body: Any) -> Any:
        if kind_of(body) == kind:
            raise ContentRefused("no")
        return keeps_words(operation, body)

    with pytest.raises(Quit, match="content_policy_violation"):
        await Trial(answer).run(report, **SMALL, documents=documents(*[3] * 10))


async def test_a_refused_merge_of_one_document_is_its_error():
    def answer(operation: str, body: Any) -> Any:
        if kind_of(body) == "merge" and "w0.0" in body["messages"][1]["content"]:
            raise ContentRefused("no")
        return keeps_words(operation, body)

    found = await Trial(answer).run(report, **SMALL, documents=documents(1000, 3))
    assert "error" in found["sections"][0]
    assert "summary" in found["sections"][1]
    assert found["failed"] == 1


# --- What is refused when a job is handed in --------------------------------------------------------


def _check(**more: Any) -> None:
    args = msgspec.convert({"model": "m", "documents": documents(1), **more}, report.Args)
    report.check(args, KEY, Stage(route()).gateway)


def test_good_arguments_are_accepted():
    _check()


@pytest.mark.parametrize(
    "more", [{"summary_tokens": 4000}, {"report_tokens": 8000}, {"instruction": "x" * 10_000}]
)
def test_what_a_context_has_no_room_for_is_refused(more: Any):
    more = {"summary_tokens": 3000, **more}
    with pytest.raises(InvalidValue) as caught:
        _check(**more)
    assert caught.value.param == "summary_tokens"


def test_an_unknown_model_and_ids_that_stand_twice_are_refused():
    with pytest.raises(ModelNotFound):
        _check(model="n")
    with pytest.raises(InvalidValue, match=r"documents\.1\.id"):
        _check(documents=documents(1) * 2)
