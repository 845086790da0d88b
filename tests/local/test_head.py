"""A head on another model's vectors, with an embedding model that the test plays."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gatemill.core.call import Timeouts
from gatemill.core.errors import ModelLoadFailed, ModelNotFound, UnsupportedOperation, UpstreamError
from gatemill.core.model import ModelSpec
from gatemill.core.ports import Incoming, Outgoing
from gatemill.local import linear
from gatemill.local.linear import Head
from gatemill.local.runtimes import head as runtime

WEIGHTS = linear.written(
    Head(("bad", "good"), (), np.array([[4, 0], [0, 4]], dtype=np.float32), np.zeros(2, np.float32))
)
VECTORS = {"good": [0.0, 2.0], "bad": [2.0, 0.0], "probe": [1.0, 1.0]}


class Embedder:
    """Answers for builtin/tiny."""

    def __init__(self) -> None:
        self.more: list[float] = []
        self.asked: list[str] = []

    async def ask(self, provider: str, out: Outgoing) -> Incoming:
        body = json.loads(out.body)
        self.asked.append(f"{provider}/{body['model']}")
        data = [
            {"index": at, "embedding": VECTORS[text] + self.more}
            for at, text in enumerate(body["input"])
        ]
        return Incoming(200, {}, json.dumps({"data": data}).encode())


@pytest.fixture
def embedder():
    return Embedder()


async def loaded(embedder: Embedder, model: str = "builtin/tiny", weights: bytes = WEIGHTS):
    async def reserve(spec: ModelSpec, size_bytes: int) -> None:
        assert size_bytes == 24

    spec = ModelSpec(
        "mood:3", "classify", "head", options={"embedding_model": model}, weights=weights
    )
    return await runtime.load(spec, SimpleNamespace(ask=embedder.ask, reserve=reserve))


def out(path: str = "/predict", **said) -> Outgoing:
    return Outgoing(path, json.dumps({"model": "mood:3", **said}).encode())


async def test_each_text_gets_the_label_that_its_vector_is_nearest_to(embedder):
    made = await loaded(embedder)
    answer = await made.exchange(out(input=["good", "bad"]), Timeouts(), 1e9)
    said = json.loads(answer.body)
    assert [each["label"] for each in said["predictions"]] == ["good", "bad"]
    assert said["version"] == "mood:3"
    assert said["predictions"][0]["confidence"] == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)
    answer = await made.open(out(input="probe", top_k=9), Timeouts(), 1e9)
    assert isinstance(answer, Incoming)
    (only,) = json.loads(answer.body)["predictions"]
    assert only["scores"] == [{"label": "bad", "score": 0.5}, {"label": "good", "score": 0.5}]
    assert set(embedder.asked) == {"builtin/tiny"}
    await made.close()


async def test_another_embedding_model_than_it_was_trained_on_is_found_out(embedder):
    made = await loaded(embedder)
    embedder.more = [0.0]
    with pytest.raises(UpstreamError, match="another model than"):
        await made.exchange(out(input="good"), Timeouts(), 1e9)
    with pytest.raises(ModelLoadFailed, match="vectors of 2 numbers; `builtin/tiny` gives 3"):
        await loaded(embedder)


async def test_it_classifies_and_nothing_else(embedder):
    made = await loaded(embedder)
    with pytest.raises(UnsupportedOperation, match="classifies, and nothing else"):
        await made.exchange(out("/embeddings", input="good"), Timeouts(), 1e9)


async def test_a_hosted_embedding_model_costs_money_that_nobody_pays(embedder):
    with pytest.raises(ModelNotFound, match="does not run here"):
        await loaded(embedder, "openai/text-embedding-3-small")
    with pytest.raises(ModelLoadFailed):
        await loaded(embedder, weights=b"\x80\x04\x95 a pickle")
