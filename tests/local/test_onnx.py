"""Graphs made in the test, loaded by the engine as a shelf does it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_models
from gatemill.core.call import Timeouts
from gatemill.core.clock import SystemClock
from gatemill.core.errors import (
    ContextLengthExceeded,
    GatemillError,
    InvalidType,
    InvalidValue,
    ModelLoadFailed,
    UnsupportedOperation,
    UnsupportedParameter,
    UpstreamError,
    UpstreamTimeout,
)
from gatemill.core.model import ModelSpec
from gatemill.core.ports import Outgoing
from gatemill.local.shelf import Serving, Shelf

TEXTS = ["the cat sat on the mat", "a", "really good film " * 5, "1 2 3", "not very bad"]
PATHS = {"embed": "/embeddings", "classify": "/predict", "rerank": "/rerank"}


@asynccontextmanager
async def served(folder: Path, task: str = "embed", name: str = "m", **options):
    shelf = Shelf(SystemClock(), Serving(data_dir=folder.parent / "data", workers=2))
    spec = ModelSpec(name, task, "onnx", f"file:{folder}", options=options)
    shelf.configure({name: spec})

    async def ask(path: str | None = None, **body):
        out = Outgoing(path or PATHS[task], json.dumps({"model": name, **body}).encode())
        got = await shelf.exchange(out, Timeouts(), SystemClock.monotonic_s() + 60)
        return json.loads(got.body)

    ask.shelf, ask.spec = shelf, spec
    try:
        yield ask
    finally:
        await shelf.close()


async def refusal(ask, **body) -> GatemillError:
    with pytest.raises(GatemillError) as failure:
        await ask(**body)
    return failure.value


async def unloadable(folder: Path, task: str = "embed", **options) -> str:
    async with served(folder, task, **options) as ask:
        with pytest.raises(ModelLoadFailed) as failure:
            await ask.shelf.load(ask.spec)
    return failure.value.message


def vectors(answer) -> np.ndarray:
    return np.array([one["embedding"] for one in answer["data"]])


@pytest.fixture
def embedder(tmp_path: Path) -> Path:
    return onnx_models.folder(tmp_path / "embedder")


# --- Embeddings ----------------------------------------------------------------------------------


async def test_vectors_have_length_one_and_are_those_of_the_graph(embedder) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(embedder / "model.onnx"))
    encoding = onnx_models.tokenizer().encode(TEXTS[0])
    ids = np.array([encoding.ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0}
    mean = session.run(None, feed)[0][0].mean(axis=0)
    async with served(embedder) as ask:
        answer = await ask(input=TEXTS[0])
    np.testing.assert_allclose(vectors(answer)[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert answer["usage"] == {
        "prompt_tokens": len(encoding.ids),
        "total_tokens": len(encoding.ids),
    }
    assert answer["object"] == "list"
    assert answer["model"] == "m"


async def test_what_is_computed_together_is_what_is_computed_alone(embedder) -> None:
    async with served(embedder) as ask:
        alone = [vectors(await ask(input=text))[0] for text in TEXTS]
        together = vectors(await ask(input=TEXTS * 10))
        at_once = await asyncio.gather(*(ask(input=text) for text in TEXTS * 10))
    np.testing.assert_allclose(together, alone * 10, atol=1e-5)
    np.testing.assert_allclose([vectors(one)[0] for one in at_once], alone * 10, atol=1e-5)


async def test_base64_holds_the_same_vectors(embedder) -> None:
    async with served(embedder) as ask:
        plain = vectors(await ask(input="a cat"))[0]
        told = (await ask(input="a cat", encoding_format="base64"))["data"][0]["embedding"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(told), "<f4"), plain, atol=1e-7)


async def test_only_matryoshka_models_give_fewer_dimensions(embedder) -> None:
    async with served(embedder) as ask:
        refused = await refusal(ask, input="a", dimensions=8)
        assert isinstance(refused, UnsupportedParameter)
        assert refused.param == "dimensions"
    async with served(embedder, matryoshka=True) as ask:
        whole = vectors(await ask(input="a"))[0]
        short = vectors(await ask(input="a", dimensions=8))[0]
        np.testing.assert_allclose(short, whole[:8] / np.linalg.norm(whole[:8]), atol=1e-6)
        assert "have 32" in (await refusal(ask, input="a", dimensions=33)).message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"input": [1, 2, 3]}, InvalidValue),
        ({"input": [[1, 2], [3]]}, InvalidValue),
        ({"input": []}, InvalidValue),
        ({"input": ["a", ""]}, InvalidValue),
        ({"input": 7}, InvalidType),
        ({"input": "a", "encoding_format": "hex"}, InvalidValue),
    ],
)
async def test_input_that_is_no_text_is_refused(embedder, body, kind) -> None:
    async with served(embedder) as ask:
        assert isinstance(await refusal(ask, **body), kind)
        assert len((await ask(input="fine"))["data"]) == 1


async def test_a_text_that_is_too_long_is_cut_only_when_asked(embedder) -> None:
    long = "good " * 100
    async with served(embedder) as ask:
        refused = await refusal(ask, input=["a", long])
        assert isinstance(refused, ContextLengthExceeded)
        assert refused.param == "input.1"
        assert re.search("102 tokens.*64 tokens at most.*truncate", refused.message)
        cut = await ask(input=long, truncate=True)
        assert cut["usage"]["prompt_tokens"] == 64
        np.testing.assert_allclose(vectors(cut), vectors(await ask(input="good " * 62)), atol=1e-6)
        endless = "x" * 1_000_000
        assert "1,000,000 characters" in (await refusal(ask, input=endless)).message
        assert (await ask(input=endless, truncate=True))["usage"]["prompt_tokens"] <= 64


async def test_an_option_or_a_file_lowers_the_limit(embedder) -> None:
    async with served(embedder, context_tokens=10) as ask:
        assert "10 tokens at most" in (await refusal(ask, input="good " * 20)).message
    (embedder / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    async with served(embedder) as ask:
        assert "5 tokens at most" in (await refusal(ask, input="good " * 20)).message


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", "mean"])
async def test_pooling_is_what_the_model_says(embedder, mode: str) -> None:
    (embedder / "1_Pooling").mkdir()
    key = {"mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}.get(mode)
    key = key or {"cls": "pooling_mode_cls_token", "lasttoken": "pooling_mode_lasttoken"}[mode]
    said = {"word_embedding_dimension": 32, key: True}
    (embedder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    async with served(embedder) as ask:
        first = vectors(await ask(input=TEXTS))
    (embedder / "1_Pooling" / "config.json").unlink()
    async with served(embedder, pooling=mode) as ask:
        second = [vectors(await ask(input=text))[0] for text in TEXTS]
    np.testing.assert_allclose(first, second, atol=1e-5)


# --- Labels --------------------------------------------------------------------------------------


async def test_labels_are_those_of_the_models_config(tmp_path) -> None:
    folder = onnx_models.folder(tmp_path / "m", "classify", labels=("sad", "calm", "glad"))
    async with served(folder, "classify") as ask:
        answer = await ask(input=["good", "bad film"], top_k=2)
        for one in answer["predictions"]:
            assert one["label"] in ("sad", "calm", "glad")
            assert one["confidence"] == one["scores"][0]["score"] >= one["scores"][1]["score"]
            assert len(one["scores"]) == 2
            assert one["truncated"] is False
        scores = (await ask(input="good", top_k=9))["predictions"][0]["scores"]
        assert sum(one["score"] for one in scores) == pytest.approx(1.0, abs=1e-6)
        assert len((await ask(input="good"))["predictions"][0]["scores"]) == 1
        cut = await ask(input=["good " * 100, "good"], truncate=True)
        assert [one["truncated"] for one in cut["predictions"]] == [True, False]


async def test_several_labels_may_be_true_where_the_model_says_so(tmp_path) -> None:
    folder = onnx_models.folder(tmp_path / "m", "classify")
    config = json.loads((folder / "config.json").read_text())
    config["problem_type"] = "multi_label_classification"
    (folder / "config.json").write_text(json.dumps(config))
    async with served(folder, "classify") as ask:
        (one,) = (await ask(input="good", top_k=2))["predictions"]
    assert sum(score["score"] for score in one["scores"]) != pytest.approx(1.0, abs=1e-3)


async def test_the_version_is_the_registrys_or_what_was_pinned(tmp_path) -> None:
    from gatemill.local.manifest import digest

    folder = onnx_models.folder(tmp_path / "m", "classify")
    async with served(folder, "classify", name="mood:3") as ask:
        assert (await ask(input="good"))["version"] == "mood:3"
    async with served(folder, "classify") as ask:
        assert (await ask(input="good"))["version"] is None
        pinned = digest(folder)
        spec = ModelSpec("m", "classify", "onnx", f"file:{folder}", pinned)
        ask.shelf.configure({"m": spec})
        assert (await ask(input="good"))["version"] == pinned[:12]


# --- Reranking -----------------------------------------------------------------------------------


async def test_documents_are_ranked_by_what_the_pair_scores(tmp_path) -> None:
    folder = onnx_models.folder(tmp_path / "m", "rerank")
    documents = ["a cat", {"text": "a good film"}, "this is not it"]
    async with served(folder, "rerank") as ask:
        answer = await ask(query="good movie", documents=documents, return_documents=True)
        scores = {}
        for text in ("a cat", "a good film", "this is not it"):
            (alone,) = (await ask(query="good movie", documents=[text]))["results"]
            scores[text] = alone["relevance_score"]
        (best,) = (await ask(query="good movie", documents=documents, top_n=1))["results"]
    told = [(one["document"]["text"], one["relevance_score"]) for one in answer["results"]]
    assert [score for _, score in told] == sorted((score for _, score in told), reverse=True)
    assert dict(told) == {text: pytest.approx(score, abs=1e-5) for text, score in scores.items()}
    assert best == {name: answer["results"][0][name] for name in ("index", "relevance_score")}
    assert all(0 < score < 1 for score in scores.values())


async def test_a_document_that_is_too_long_is_cut_when_asked_and_a_query_never(tmp_path) -> None:
    folder = onnx_models.folder(tmp_path / "m", "rerank")
    async with served(folder, "rerank") as ask:
        refused = await refusal(ask, query="good", documents=["a", "bad " * 80])
        assert refused.param == "documents.1"
        answer = await ask(query="good", documents=["bad " * 80], truncate=True)
        assert answer["usage"]["prompt_tokens"] == 64
        refused = await refusal(ask, query="good " * 70, documents=["a"], truncate=True)
        assert refused.param == "query"
        refused = await refusal(ask, query="good " * 61, documents=["a"], truncate=True)
        assert "no room" in refused.message
        assert isinstance(await refusal(ask, query="a", documents=[]), InvalidValue)


# --- What goes wrong -----------------------------------------------------------------------------


async def test_another_operation_is_refused(embedder) -> None:
    async with served(embedder) as ask:
        with pytest.raises(UnsupportedOperation, match="/embeddings"):
            await ask("/predict", input="a")
        out = Outgoing("/chat/completions", b'{"model":"m","messages":[]}')
        with pytest.raises(UnsupportedOperation):
            await ask.shelf.open(out, Timeouts(), SystemClock.monotonic_s() + 9)


async def test_a_deadline_ends_the_wait(embedder) -> None:
    async with served(embedder) as ask:
        await ask(input="a")
        out = Outgoing("/embeddings", b'{"model":"m","input":"a"}')
        with pytest.raises(UpstreamTimeout):
            await ask.shelf.exchange(out, Timeouts(), SystemClock.monotonic_s() - 1)


async def test_a_graph_that_fails_fails_its_request_and_not_the_next(embedder) -> None:
    # Positions beyond those of the graph.
    async with served(embedder) as ask:
        assert len((await ask(input="a"))["data"]) == 1
        runtime = ask.shelf._slots["m"].runtime
        runtime._work._encoder.tokens_max = 500
        with pytest.raises(UpstreamError, match="failed on this input"):
            await ask(input="good " * 200)
        assert len((await ask(input="a"))["data"]) == 1


async def test_tasks_that_no_graph_does_are_refused(embedder) -> None:
    assert "does not generate" in await unloadable(embedder, "generate")


async def test_files_that_are_missing_or_broken_are_named(embedder, tmp_path) -> None:
    (embedder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    assert "tokenizer.json" in await unloadable(embedder)
    (embedder / "tokenizer.json").write_text("{}")
    assert "cannot be read as a tokenizer" in await unloadable(embedder)
    (tmp_path / "tokenizer.json").rename(embedder / "tokenizer.json")
    assert "no other.onnx; there is model.onnx" in await unloadable(embedder, file="other.onnx")
    assert "no model_int8.onnx" in await unloadable(embedder, dtype="int8")
    assert "dtype `int3`" in await unloadable(embedder, dtype="int3")
    assert "device `tpu`" in await unloadable(embedder, device="tpu")
    assert "pooling `best`" in await unloadable(embedder, pooling="best")
    (embedder / "model.onnx").write_bytes(b"junk")
    assert "no graph that ONNX Runtime loads" in await unloadable(embedder)


async def test_models_whose_meaning_is_not_known_are_refused(embedder, tmp_path) -> None:
    (embedder / "2_Dense").mkdir()
    assert "dense layer" in await unloadable(embedder)
    (embedder / "2_Dense").rmdir()
    (embedder / "1_Pooling").mkdir()
    path = embedder / "1_Pooling" / "config.json"
    path.write_text('{"pooling_mode_weightedmean_tokens": true}')
    assert "pooling_mode_weightedmean_tokens" in await unloadable(embedder)
    assert "what its labels are" in await unloadable(embedder, "classify")
    (embedder / "config.json").write_text('{"problem_type": "regression", "id2label": {"0": "x"}}')
    assert "predicts a number" in await unloadable(embedder, "classify")


async def test_a_graph_that_wants_other_inputs_is_refused(embedder) -> None:
    path = embedder / "model.onnx"
    model = onnx.load(path)
    model.graph.input[2].name = "position_ids"
    for node in model.graph.node:
        node.input[:] = ["position_ids" if i == "token_type_ids" else i for i in node.input]
    onnx.save(model, path)
    assert "position_ids" in await unloadable(embedder)


async def test_more_memory_than_there_is_to_have_is_refused_before_loading(embedder) -> None:
    assert "4,096 MiB" in await unloadable(embedder, memory_bytes=1 << 40)


async def test_an_only_graph_is_taken_whatever_its_name(embedder) -> None:
    (embedder / "onnx").mkdir()
    (embedder / "model.onnx").rename(embedder / "onnx" / "encoder.onnx")
    async with served(embedder) as ask:
        assert len((await ask(input="a"))["data"]) == 1
