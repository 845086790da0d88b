"""The built-in models over real sockets, unchanged clients included; what is refused, and what the ledger says."""

from __future__ import annotations

import base64
import struct

import pytest
from msgspec.structs import replace

from api import api
from house_for_tests import opened
from jobs_over_http import ended
from sdks import openai_at

PASSAGES = """<passages>
<passage n="1" title="paris.md">
Paris is the capital of France. It has about two million people.
</passage>
<passage n="2" title="berlin.md">
Berlin became the capital of Germany again in 1990 [7]. It lies on the Spree &amp; the Havel.
</passage>
</passages>

<question>
Since when is Berlin the capital of Germany?
</question>"""
CONFIG = """
[models.mood]
targets = ["builtin/sentiment"]
[models.kept]
targets = ["builtin/sentiment"]
cache = { ttl_s = 60 }
[models.picky]
targets = ["oven/any"]
fallbacks = ["mood"]
[providers.oven]
kind = "openai"
base_url = "http://127.0.0.1:9"
native = ["predict"]
[models.split.experiment]
by = "key"
[models.split.experiment.arms.only]
model = "mood"
weight = 1
"""
MOOD = "builtin/sentiment"


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG, works=True) as running:
        yield running


@pytest.fixture
async def ask(gate):
    async with api(gate) as asking:
        yield asking


def client(gate):
    return openai_at(gate.url, gate.key, max_retries=0)


async def test_texts_are_classified_and_the_ledger_knows(ask, gate):
    said = await ask(
        "POST", "/v1/predict", {"model": MOOD, "input": ["I love it", "I hate it"], "top_k": 3}
    )
    assert said.status == 200
    answer = said.json
    assert [each["label"] for each in answer["predictions"]] == ["positive", "negative"]
    assert len(answer["predictions"][0]["scores"]) == 3
    assert answer["object"] == "list"
    assert (answer["model"], answer["version"]) == (MOOD, "1")
    assert said.headers["x-gatemill-model"] == MOOD
    await gate.home.ledger.flushed()
    row = (await gate.home.ledger.recent(1))[0]
    assert (row.operation, row.provider, row.target_model) == ("predict", "builtin", "sentiment")
    assert (row.cost_microusd, row.output_tokens) == (0, 0)
    assert row.input_tokens == answer["usage"]["prompt_tokens"] > 0


async def test_the_short_form_names_exactly_what_answered(ask, gate):
    said = await ask("POST", "/predict", {"text": "What an excellent day"})
    assert said.json == {
        "label": "positive",
        "confidence": pytest.approx(0.85, abs=0.1),
        "model_version": "builtin/sentiment:1",
    }
    named = await ask("POST", "/predict", {"text": "so bad", "model": "mood"})
    assert named.json["label"] == "negative"
    await gate.home.ledger.flushed()
    assert {row.operation for row in await gate.home.ledger.recent(2)} == {"predict_text"}


async def test_a_version_of_the_registry_is_what_answered(ask, gate):
    routes = gate.home.gateway.routes
    route = routes.find("mood")
    target = replace(route.targets[0], version="mood:3")
    routes.publish({"mood@live": replace(route, name="mood@live", targets=(target,))}, {})
    said = await ask("POST", "/v1/predict", {"model": "mood@live", "input": "fine"})
    assert (said.json["model"], said.json["version"]) == ("mood@live", "mood:3")
    assert said.headers["x-gatemill-model-version"] == "mood:3"
    assert "x-gatemill-arm" not in said.headers
    short = await ask("POST", "/predict", {"text": "fine", "model": "mood@live"})
    assert short.json["model_version"] == "mood:3"
    await gate.home.ledger.flushed()
    assert {row.model_version for row in await gate.home.ledger.recent(2)} == {"mood:3"}


async def test_a_built_in_model_answers_where_another_is_away(ask):
    said = await ask("POST", "/v1/predict", {"model": "picky", "input": "excellent"})
    assert said.json["predictions"][0]["label"] == "positive"
    assert said.headers["x-gatemill-attempts"] == "2"


async def test_the_page_of_metrics_tells_of_the_thread(ask):
    page = (await ask("GET", "/metrics")).body.decode()
    assert "gatemill_builtin_waiting 0.0" in page
    assert "gatemill_builtin_refused_total 0.0" in page


async def test_equal_predictions_come_from_the_cache(ask):
    found = [await ask("POST", "/v1/predict", {"model": "kept", "input": "fine"}) for _ in "12"]
    assert [said.headers["x-gatemill-cache"] for said in found] == ["miss", "hit"]
    assert found[0].json == found[1].json


async def test_an_arm_is_shown_in_answer_and_headers(ask):
    said = await ask("POST", "/v1/predict", {"model": "split", "input": "fine"})
    assert said.status == 200, said.body
    assert (said.json["model"], said.json["arm"]) == ("split", "only")
    assert said.headers["x-gatemill-arm"] == said.headers["x-gatemill-model-version"] == "only"


REFUSED = [
        ("/v1/predict", {"model": MOOD, "input": ""}, 400, "input"),
        ("/v1/predict", {"model": MOOD, "input": []}, 400, "input"),
        ("/v1/predict", {"model": MOOD, "input": ["x"] * 257}, 400, "input"),
        ("/v1/predict", {"model": MOOD, "input": "x" * 20_001}, 400, "input"),
        ("/v1/predict", {"model": MOOD, "input": "x", "topk": 1}, 400, "topk"),
        ("/v1/predict", {"model": "builtin/nothing", "input": "x"}, 404, "model"),
        ("/v1/predict", {"model": "builtin/extract", "input": "x"}, 400, "model"),
        ("/v1/predict", {"model": "echo", "input": "x"}, 400, "model"),
        ("/v1/predict", b"\x00\xff junk", 400, None),
        ("/predict", {"text": ""}, 400, "text"),
        ("/predict", {"text": "x" * 20_001}, 400, "text"),
        ("/predict", {}, 400, "text"),
        ("/v1/rerank", {"model": "builtin/lexical", "query": "x", "documents": []}, 400, "documents"),
        ("/v1/embeddings", {"model": "builtin/hash-512", "input": [1, 2]}, 400, "input"),
        ("/v1/embeddings", {"model": "builtin/hash-512", "input": "x", "dimensions": 256}, 400, "dimensions"),
        ("/v1/chat/completions", {"model": MOOD, "messages": [{"role": "user", "content": "x"}]}, 400, "model"),
]  # fmt: skip


async def test_what_cannot_be_answered_is_refused_by_its_field(ask):
    for path, body, status, param in REFUSED:
        said = await ask("POST", path, body)
        assert (said.status, said.json["error"]["param"]) == (status, param), said.body
        assert said.json["error"]["message"].endswith((".", "?"))


async def test_a_long_text_is_cut_only_where_that_is_asked(ask):
    long = "good " * 5000
    said = await ask(
        "POST", "/v1/predict", {"model": MOOD, "input": ["ok", long], "truncate": True}
    )
    assert [each["truncated"] for each in said.json["predictions"]] == [False, True]


async def test_documents_are_ranked_at_both_paths(ask):
    body = {
        "model": "builtin/lexical",
        "query": "capital of France",
        "documents": ["Berlin is in Germany.", {"text": "Paris is the capital of France."}],
        "return_documents": True,
        "top_n": 1,
    }
    for path in ("/v1/rerank", "/rerank"):
        said = (await ask("POST", path, body)).json
        (best,) = said["results"]
        assert best["index"] == 1
        assert best["document"] == {"text": "Paris is the capital of France."}
        assert 0 < best["relevance_score"] <= 1


async def test_openai_embeds_with_its_own_client(gate):
    async with client(gate) as ai:
        texts = ["the red mill", "the red mill", "seven apples"]
        made = await ai.embeddings.create(model="builtin/hash-512", input=texts)
        vectors = [each.embedding for each in made.data]
        assert vectors[0] == vectors[1]
        dot = [sum(a * b for a, b in zip(vectors[0], v, strict=True)) for v in vectors]
        assert dot[1] == pytest.approx(1.0, abs=1e-5)
        assert dot[2] < 0.5
        floats = await ai.embeddings.create(
            model="builtin/hash-512", input=texts[2], encoding_format="float", dimensions=512
        )
        assert floats.data[0].embedding == pytest.approx(vectors[2], abs=1e-6)
        packed = await ai.embeddings.with_raw_response.create(
            model="builtin/hash-512", input=texts[2], encoding_format="base64"
        )
        told = packed.http_response.json()["data"][0]["embedding"]
        assert struct.unpack("<512f", base64.b64decode(told)) == pytest.approx(vectors[2], abs=1e-6)


async def test_extract_cites_whole_and_streamed(gate):
    async with client(gate) as ai:
        turn = {"role": "user", "content": PASSAGES}
        whole = await ai.chat.completions.create(model="builtin/extract", messages=[turn])
        text = whole.choices[0].message.content
        assert text == "Berlin became the capital of Germany again in 1990 (7). [2]"
        assert whole.system_fingerprint == "builtin-extract"
        flow = await ai.chat.completions.create(
            model="builtin/extract",
            messages=[turn],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in flow]
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert said == text
        assert chunks[-1].usage == whole.usage


async def test_other_formats_reach_extract_through_the_hub(ask):
    said = await ask(
        "POST",
        "/v1/messages",
        {
            "model": "builtin/extract",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": PASSAGES}],
        },
    )
    assert "[2]" in said.json["content"][0]["text"]


async def test_a_model_is_listed_and_shows_its_card(ask):
    names = {each["id"] for each in (await ask.good("GET", "/v1/models"))["data"]}
    assert {MOOD, "builtin/extract", "builtin/hash-512", "builtin/lexical"} <= names
    card = (await ask.good("GET", f"/v1/models/{MOOD}"))["card"]
    assert card["task"] == "classify"
    assert "72 %" in card["measured"]
    assert "card" in await ask.good("GET", "/v1/models/mood")
    assert "card" not in await ask.good("GET", "/v1/models/echo")


async def test_many_texts_are_a_job(ask):
    said = await ask(
        "POST",
        "/v1/predict/batch",
        {"model": "mood", "input": ["great", "awful", {"input": "so so", "top_k": 2}], "top_k": 1},
    )
    assert said.status == 202, said.body
    assert said.headers["location"] == f"/v1/jobs/{said.json['id']}"
    job = await ended(ask, said.json["id"])
    outputs = [row["output"] for row in job["result"]["data"]]
    assert [each["predictions"][0]["label"] for each in outputs[:2]] == ["positive", "negative"]
    assert len(outputs[2]["predictions"][0]["scores"]) == 2
    assert job["result"]["usage"]["prompt_tokens"] == 6


async def test_a_batch_that_is_sent_again_is_the_same_job(ask):
    body = {"model": "mood", "input": ["great"]}
    found = [await ask("POST", "/v1/predict/batch", body, idempotency_key="k1") for _ in "12"]
    assert found[0].json["id"] == found[1].json["id"]
    assert found[1].headers["idempotent-replayed"] == "true"


async def test_the_lines_of_a_file_are_a_job_too(ask, gate):
    async with client(gate) as ai:
        data = b'plain wonderful text\n"quoted \\u00fcgly mess"\n\n{"input": "an object: superb"}\n'
        file = await ai.files.create(file=("texts.jsonl", data), purpose="user_data")
    said = await ask("POST", "/v1/predict/batch", {"model": "mood", "input_file_id": file.id})
    job = await ended(ask, said.json["id"])
    labels = [row["output"]["predictions"][0]["label"] for row in job["result"]["data"]]
    assert labels == ["positive", "negative", "positive"]


BAD_BATCHES = [
    ({"model": "mood"}, 400, "input"),
    ({"model": "mood", "input": ["a"], "input_file_id": "file-1"}, 400, "input"),
    ({"model": "mood", "input": []}, 400, "input"),
    ({"model": "mood", "input": [""]}, 400, "input.0"),
    ({"model": "mood", "input_file_id": "file-none"}, 404, "file_id"),
    ({"model": "none", "input": ["a"]}, 404, "model"),
    ({"model": "mood", "input": ["a"], "callback_url": "no"}, 400, "callback_url"),
    ({"model": "mood", "input": ["a"], "webhook": "x"}, 400, "webhook"),
]


async def test_a_batch_that_cannot_run_is_refused_at_the_door(ask):
    for body, status, param in BAD_BATCHES:
        said = await ask("POST", "/v1/predict/batch", body)
        assert (said.status, said.json["error"]["param"]) == (status, param), said.body


async def test_a_file_of_junk_fails_its_job_with_the_reason(ask, gate):
    async with client(gate) as ai:
        junk = await ai.files.create(file=("x.bin", b"fine\n\xff\xfe\x00\n"), purpose="user_data")
    said = await ask("POST", "/v1/predict/batch", {"model": "mood", "input_file_id": junk.id})
    job = await ended(ask, said.json["id"])
    assert job["state"] == "dead"
    assert "Line 2" in job["error"]["message"]


async def test_predict_and_rerank_wait_as_jobs_where_that_is_preferred(ask):
    bodies = {
        "/v1/predict": {"model": "mood", "input": "great"},
        "/predict": {"text": "great"},
        "/v1/rerank": {"model": "builtin/lexical", "query": "a b", "documents": ["b", "a b"]},
    }
    for path, body in bodies.items():
        said = await ask("POST", path, body, prefer="respond-async")
        assert said.status == 202, said.body
        job = await ended(ask, said.json["id"])
        assert job["state"] == "succeeded", job
        assert job["result"].keys() & {"predictions", "label", "results"}


async def test_a_report_over_documents_needs_no_other_model(ask):
    documents = [
        {
            "id": "mill",
            "text": "The mill grinds grain. " * 3 + "It was built in 1820 by the river.",
        },
        {"id": "forge", "text": "The forge makes nails. Its hammer is driven by water. It is old."},
    ]
    args = {"model": "builtin/extract", "documents": documents}
    said = await ask("POST", "/v1/jobs", {"kind": "documents.report", "args": args})
    job = await ended(ask, said.json["id"])
    assert job["state"] == "succeeded", job
    report = job["result"]["report"]
    assert "## mill" in report
    assert "## forge" in report
    assert "Its hammer is driven by water." in report
