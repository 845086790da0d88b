"""The vectors of many texts: in batches, with errors for those that have none."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from gatemill.core.errors import (
    BudgetSpent,
    ModelNotFound,
    UnsupportedOperation,
    UpstreamBadReply,
    UpstreamRefused,
    UpstreamTimeout,
)
from gatemill.jobs.context import Quit
from gatemill.jobs.kinds import embeddings
from gatemill.jobs.trial import Trial
from gateway_parts import KEY, Stage, route


def vectors(*refused: str, size: int = 2) -> Any:
    """A model that refuses every request with one of these texts."""

    def answer(operation: str, body: Any) -> Any:
        assert operation == "embeddings"
        if set(refused) & set(body["input"]):
            raise UpstreamRefused("This text has no vector.", param="input")
        data = [
            {"index": index, "object": "embedding", "embedding": [float(text)] * size}
            for index, text in enumerate(body["input"])
        ]
        count = len(body["input"])
        # In any order: the index decides.
        return {"data": data[::-1], "usage": {"prompt_tokens": count, "total_tokens": count}}

    return answer


def texts(count: int) -> list[str]:
    return [str(number) for number in range(count)]


async def test_every_text_has_its_vector_in_its_place():
    trial = Trial(vectors())
    found = await trial.run(embeddings, model="m", inputs=texts(25), batch_size=10)
    assert [row["embedding"] for row in found["data"]] == [[float(n)] * 2 for n in range(25)]
    assert [row["index"] for row in found["data"]] == list(range(25))
    assert found["usage"] == {"prompt_tokens": 25, "completion_tokens": 0, "total_tokens": 25}
    assert found["failed"] == 0
    assert [len(body["input"]) for _, body in trial.asked] == [10, 10, 5]
    assert (trial.told[-1].current, trial.told[-1].total) == (3, 3)


async def test_a_refused_text_costs_the_others_nothing():
    trial = Trial(vectors("7", "21"))
    found = await trial.run(embeddings, model="m", inputs=texts(64), batch_size=64)
    assert found["failed"] == 2
    errors = {row["index"]: row["error"]["code"] for row in found["data"] if "error" in row}
    assert errors == {7: "upstream_invalid_request", 21: "upstream_invalid_request"}
    assert [row["index"] for row in found["data"]] == list(range(64))
    assert len(trial.asked) <= 2 * 2 * 6 + 1, "halving finds a text in log2 steps"


async def test_when_the_model_refuses_everything_the_job_ends_early():
    trial = Trial(vectors(*texts(1000)))
    with pytest.raises(Quit) as caught:
        await trial.run(embeddings, model="m", inputs=texts(1000), batch_size=100)
    assert caught.value.problem.code == "upstream_invalid_request"
    assert len(trial.asked) < 300


async def test_a_few_texts_may_all_be_refused():
    found = await Trial(vectors(*texts(3))).run(embeddings, model="m", inputs=texts(3))
    assert found["failed"] == 3


async def test_a_model_without_embeddings_ends_the_job_at_once():
    def answer(operation: str, body: Any) -> Any:
        raise UnsupportedOperation("no", param="model")

    trial = Trial(answer)
    with pytest.raises(UnsupportedOperation):
        await trial.run(embeddings, model="m", inputs=texts(100), batch_size=10, concurrency=1)
    assert len(trial.asked) == 1


async def test_a_job_that_broke_at_half_repeats_no_batch_it_had():
    failures = [BudgetSpent("no")]
    good = vectors()

    def answer(operation: str, body: Any) -> Any:
        if "50" in body["input"] and failures:
            raise failures.pop()
        return good(operation, body)

    trial = Trial(answer, attempts_max=2)
    ask = {"model": "m", "inputs": texts(100), "batch_size": 10, "concurrency": 1}
    with pytest.raises(BudgetSpent):
        await trial.run(embeddings, **ask)
    found = await trial.run(embeddings, **ask)
    assert [row["index"] for row in found["data"]] == list(range(100))
    asked = [text for _, body in trial.asked for text in body["input"]]
    assert sorted(asked, key=int) == sorted(texts(100) + texts(60)[50:], key=int), "one batch twice"
    assert found["usage"]["total_tokens"] == 100


async def test_a_batch_that_no_attempt_could_get_is_an_error_of_its_texts():
    good = vectors()

    def answer(operation: str, body: Any) -> Any:
        if "5" in body["input"]:
            raise UpstreamTimeout("too slow")
        return good(operation, body)

    trial = Trial(answer, attempts_max=2)
    ask = {"model": "m", "inputs": texts(15), "batch_size": 5}
    with pytest.raises(UpstreamTimeout):
        await trial.run(embeddings, **ask)
    found = await trial.run(embeddings, **ask)
    assert [row["index"] for row in found["data"]] == list(range(15))
    errors = {row["index"]: row["error"]["code"] for row in found["data"] if "error" in row}
    assert errors == dict.fromkeys(range(5, 10), "upstream_timeout")
    assert found["failed"] == 5


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}],
        [{"index": 0}, {"index": 1}],
    ],
)
async def test_an_answer_without_a_vector_for_each_text_is_no_answer(data: Any):
    trial = Trial(lambda operation, body: {"data": data})
    with pytest.raises(UpstreamBadReply):
        await trial.run(embeddings, model="m", inputs=["1", "2"])


async def test_vectors_that_would_not_fit_the_result_end_the_job_after_one_call():
    trial = Trial(vectors(size=1000), result_bytes=100_000)
    with pytest.raises(Quit, match="result_too_large"):
        await trial.run(embeddings, model="m", inputs=texts(100), batch_size=1, concurrency=1)
    assert len(trial.asked) == 1


async def test_base64_is_passed_on_and_takes_less_room():
    plain = await Trial().run(embeddings, model="m", inputs=["a"], dimensions=3)
    trial = Trial()
    coded = await trial.run(
        embeddings, model="m", inputs=["a"], dimensions=3, encoding_format="base64"
    )
    assert len(base64.b64decode(coded["data"][0]["embedding"])) == 12
    assert len(plain["data"][0]["embedding"]) == 3
    assert trial.asked[0][1]["dimensions"] == 3


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"inputs": []}, r"\$\.inputs"),
        ({"inputs": ["a", ""]}, r"\$\.inputs\[\.\.\.\]|\$\.inputs\[1\]"),
        ({"inputs": [[1, 2]]}, r"\$\.inputs"),
        ({"batch_size": 0}, r"\$\.batch_size"),
        ({"batch_size": 2049}, r"\$\.batch_size"),
        ({"concurrency": 65}, r"\$\.concurrency"),
        ({"dimensions": 0}, r"\$\.dimensions"),
        ({"encoding_format": "int8"}, r"\$\.encoding_format"),
        ({"model": ""}, r"\$\.model"),
        ({"input": "a"}, "unknown field `input`"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_with_their_path(change: Any, path: str):
    with pytest.raises(msgspec.ValidationError, match=path):
        await Trial().run(embeddings, **{"model": "m", "inputs": ["a"], **change})


def test_an_unknown_model_is_refused_when_the_job_is_handed_in():
    with pytest.raises(ModelNotFound):
        embeddings.check(embeddings.Args(model="n", inputs=["a"]), KEY, Stage(route()).gateway)
    embeddings.check(embeddings.Args(model="m", inputs=["a"]), KEY, Stage(route()).gateway)
