"""POST /v1/moderations by the unchanged SDK: models of OpenAI's kind, classifiers, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import openai
import pytest

import openai_contract
from api import api
from gatemill.fake_provider import server as fake_provider
from house_for_tests import opened
from jobs_over_http import ended
from sdks import openai_at

THREAT = "I know where you live."
CONFIG = """
[providers.open]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-1"
[models.native]
targets = ["open/omni-moderation-latest"]
[models.kept]
targets = ["builtin/moderation"]
cache = {{ ttl_s = 60 }}
[models.brittle]
targets = ["open/fake+status=503"]
fallbacks = ["builtin/moderation"]
"""


@pytest.fixture
async def town(tmp_path):
    fake = await fake_provider.start("127.0.0.1", 0)
    async with (
        opened(tmp_path, CONFIG.format(url=fake.url), works=True) as gate,
        api(gate) as ask,
        openai_at(gate.url, gate.key, max_retries=0) as client,
    ):
        yield SimpleNamespace(gate=gate, ask=ask, client=client)
    await fake.stop()


async def row_of(town):
    await town.gate.home.ledger.flushed()
    return (await town.gate.home.ledger.recent(1))[0]


async def test_the_built_in_model_answers_where_none_is_named(town):
    made = await town.client.moderations.create(input=THREAT)
    openai_contract.validate("CreateModerationResponse", made.model_dump(by_alias=True))
    (result,) = made.results
    assert result.flagged
    assert result.categories.harassment_threatening
    assert result.category_scores.harassment_threatening >= 0.9
    assert not result.categories.sexual
    row = await row_of(town)
    assert (row.operation, row.provider, row.target_model) == (
        "moderations",
        "builtin",
        "moderation",
    )
    assert (row.cost_microusd, row.output_tokens, row.input_tokens) == (0, 0, 6)


async def test_an_upstream_of_the_same_format_is_passed_through(town):
    asked = {"model": "native", "input": ["hello there", "some violence here"]}
    said = await town.ask("POST", "/v1/moderations", asked)
    openai_contract.validate("CreateModerationResponse", said.json)
    assert [one["flagged"] for one in said.json["results"]] == [False, True]
    assert said.json["id"].startswith("modr-fake")
    row = await row_of(town)
    # OpenAI says no tokens and takes no money.
    assert (row.provider, row.cost_microusd, row.output_tokens) == ("open", 0, 0)
    assert row.estimated


async def test_the_fake_provider_takes_what_openai_takes(town):
    made = await town.client.moderations.create(model="native", input="so much hate")
    assert made.results[0].categories.hate


async def test_pictures_go_where_they_can_be_seen(town):
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    parts = [{"type": "text", "text": "violence"}, picture]
    made = await town.client.moderations.create(model="native", input=parts)
    assert made.results[0].category_applied_input_types.violence == ["text", "image"]
    with pytest.raises(openai.BadRequestError) as refused:
        await town.client.moderations.create(model="builtin/moderation", input=parts)
    assert refused.value.param == "input.1"


async def test_parts_of_text_are_judged_together(town):
    parts = [{"type": "text", "text": "I know where"}, {"type": "text", "text": "you live."}]
    made = await town.client.moderations.create(input=parts)
    assert [one.flagged for one in made.results] == [True]


async def test_a_classifier_takes_over_where_the_provider_fails(town):
    made = await town.client.moderations.create(model="brittle", input=THREAT)
    assert made.results[0].flagged
    assert made.model == "brittle"


async def test_an_answer_is_kept_where_the_model_says_so(town):
    first = await town.ask("POST", "/v1/moderations", {"model": "kept", "input": THREAT})
    again = await town.ask("POST", "/v1/moderations", {"model": "kept", "input": THREAT})
    assert again.headers["x-gatemill-cache"] == "hit"
    assert again.json == first.json


async def test_the_same_labels_come_as_a_prediction(town):
    asked = {"model": "builtin/moderation", "input": THREAT, "top_k": 3}
    said = await town.ask("POST", "/v1/predict", asked)
    assert said.json["predictions"][0]["label"] == "harassment/threatening"


REFUSED = (
    ({}, "input", "missing_required_parameter"),
    ({"input": ""}, "input", "invalid_value"),
    ({"input": []}, "input", "invalid_value"),
    ({"input": ["a", ""]}, "input.1", "invalid_value"),
    ({"input": ["a", {"type": "text", "text": "b"}]}, "input", "invalid_value"),
    ({"input": [{"type": "text"}]}, "input.0.text", "invalid_value"),
    ({"input": [{"type": "image_url"}]}, "input.0.image_url", "invalid_value"),
    ({"input": [{"type": "sound"}]}, "input.0.type", "invalid_value"),
    ({"input": 5}, "input", "invalid_type"),
    ({"input": "x" * 20_001}, "input", "invalid_value"),
    ({"input": ["x"] * 257}, "input", "invalid_value"),
    ({"input": "x", "model": "builtin/sentiment"}, "model", "unsupported_operation"),
    ({"input": "x", "model": "builtin/lexical"}, "model", "unsupported_operation"),
    ({"input": "x", "model": "echo"}, "model", "unsupported_operation"),
    ({"input": "x", "model": "nobody"}, "model", "model_not_found"),
)


async def test_what_is_refused_names_its_place(town):
    for body, param, code in REFUSED:
        said = await town.ask("POST", "/v1/moderations", body)
        assert said.status in (400, 404), body
        error = said.json["error"]
        assert (error["param"], error["code"]) == (param, code), body


async def test_a_null_byte_is_refused_here_and_everywhere(town):
    """Every surface takes its body through the same check, before anybody reads it."""
    for path, body in (
        ("/v1/moderations", {"input": "a\0b"}),
        ("/v1/predict", {"model": "builtin/moderation", "input": "a\0b"}),
        (
            "/v1/chat/completions",
            {"model": "echo", "messages": [{"role": "user", "content": "a\0"}]},
        ),
    ):
        said = await town.ask("POST", path, body)
        assert said.status == 400, path


async def test_a_job_moderates_many_texts(town):
    args = {"model": "builtin/moderation", "operation": "moderations", "items": [THREAT, "hello"]}
    made = await town.ask("POST", "/v1/jobs", {"kind": "batch.predict", "args": args})
    assert made.status in (200, 201, 202), made.body
    job = await ended(town.ask, made.json["id"])
    rows = job["result"]["data"]
    assert [row["output"]["results"][0]["flagged"] for row in rows] == [True, False]


async def test_a_batch_file_may_ask_for_it(town):
    line = {"custom_id": "a", "method": "POST", "url": "/v1/moderations", "body": {"input": THREAT}}
    file = await town.client.files.create(
        file=("in.jsonl", msgspec.json.encode(line)), purpose="batch"
    )
    batch = await town.client.batches.create(
        input_file_id=file.id, endpoint="/v1/moderations", completion_window="24h"
    )
    assert batch.endpoint == "/v1/moderations"
