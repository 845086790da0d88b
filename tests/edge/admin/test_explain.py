"""POST /v1/explain where time has passed or a provider has failed; the rest is tests/story/test_explain.py."""

from __future__ import annotations

import pytest

from api import CHAT, api
from gatemill.fake_provider import server as fake_provider
from gatemill.gateway.explain import operation_of
from house_for_tests import opened

EXPLAIN = "/v1/explain"
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[breaker]
failures = 3
last_target = "refuse"
[retries]
attempts_max = 1
[models.m]
targets = ["up/fake"]
[models.broken]
targets = ["up/fake+status=503"]
[providers.gone]
kind = "openai"
base_url = "{gone}/v1"
api_key = "sk-upstream-key"
timeout = {{ connect_s = 2 }}
[models.stale]
targets = ["gone/fake"]
fallbacks = ["cache"]
cache = {{ ttl_s = 0.05, stale_s = 600 }}
[models.kept]
targets = ["up/fake"]
cache = {{ ttl_s = 600 }}
"""


@pytest.fixture
async def going():
    """A provider that a test may stop."""
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


@pytest.fixture
async def asking(tmp_path, fake, going):
    config = CONFIG.format(url=fake.url, gone=going.url)
    async with opened(tmp_path, config) as gate, api(gate) as ask:
        yield ask


def _body(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


async def test_a_target_that_is_left_alone_is_told(asking):
    while (await asking("POST", CHAT, _body("broken"))).json["error"]["code"] != "circuit_open":
        pass
    told = await asking.good("POST", EXPLAIN, _body("broken"))
    assert (told["outcome"]["status"], told["outcome"]["code"]) == (503, "circuit_open")
    assert told["outcome"]["retry_after_s"] > 0
    assert told["targets"][0]["ready"] is False
    assert (await asking("POST", CHAT, _body("broken"))).status == 503


async def test_a_kept_answer_has_an_age_and_a_caller_may_say_how_old(asking):
    assert (await asking("POST", CHAT, _body("kept"))).headers["x-gatemill-cache"] == "miss"
    told = await asking.good("POST", EXPLAIN, _body("kept"))
    assert (told["cache"]["state"], told["outcome"]["cache"]) == ("fresh", "hit")
    assert 0 <= told["cache"]["age_s"] < 60
    assert told["cost_usd"] == dict.fromkeys(("least", "expected", "most"), "0.000000")
    for control, cache in (("max-age=600", "hit"), ("max-age=0", "miss"), ("no-store", None)):
        told = (await asking("POST", EXPLAIN, _body("kept"), cache_control=control)).json
        assert told["outcome"]["cache"] == cache, control
    told = (await asking("POST", EXPLAIN, _body("kept"), cache_control="max-age=x")).json
    assert told["outcome"]["code"] == "invalid_header"


async def test_an_old_answer_stands_in_for_a_target_that_is_left_alone(asking, going):
    assert (await asking("POST", CHAT, _body("stale"))).status == 200
    await going.stop()
    while (told := await asking.good("POST", EXPLAIN, _body("stale")))["targets"][0]["ready"]:
        await asking("POST", CHAT, _body("stale"))
    assert told["cache"]["state"] == "stale"
    assert (told["outcome"]["from"], told["outcome"]["cache"]) == ("cache", "stale")
    answer = await asking("POST", CHAT, _body("stale"))
    assert (answer.status, answer.headers["x-gatemill-cache"]) == (200, "stale")
    # Who wants no old answer gets none.
    told = (await asking("POST", EXPLAIN, _body("stale"), cache_control="no-cache")).json
    answer = await asking("POST", CHAT, _body("stale"), cache_control="no-cache")
    assert answer.status == told["outcome"]["status"] == 503


async def test_without_a_key_nothing_is_told(asking):
    for key in ("", "gm-wrong"):
        refused = await asking("POST", EXPLAIN, _body("m"), key)
        assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(("query", "param"), [("?operation=fly", "operation"), ("?op=chat", "op")])
async def test_a_query_that_is_wrong_is_refused(asking, query, param):
    refused = await asking("POST", EXPLAIN + query, _body("m"))
    assert (refused.status, refused.json["error"]["param"]) == (400, param)


async def test_a_compressed_body_is_read_and_a_large_one_refused(asking):
    import gzip

    import msgspec

    body = gzip.compress(msgspec.json.encode(_body("m")))
    told = await asking("POST", EXPLAIN, body, content_encoding="gzip")
    assert told.json["outcome"]["status"] == 200
    assert (await asking("POST", EXPLAIN, b"x" * 10, content_encoding="br")).status == 415


async def test_what_waits_for_money_of_others_is_told(asking):
    limits = {"budgets": {"day": {"usd": "0"}}}
    key = await asking.good("POST", "/api/v1/keys", {"name": "poor", "limits": limits})
    told = await asking("POST", EXPLAIN, _body("m"), key["secret"])
    assert told.json["outcome"]["code"] == "price_unknown"


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        (b'{"messages": []}', "chat"),
        (b'{"prompt": ""}', "completions"),
        (b'{"input": ""}', "responses"),
        (b'{"text": ""}', "inference"),
        (b'{"input": "", "top_k": 1}', "predict"),
        (b'{"input": "", "truncate": true}', "predict"),
        (b'{"query": "", "documents": []}', "rerank"),
        (b"{}", "chat"),
        (b"", "chat"),
        (b"{", "chat"),
        (b"[]", "chat"),
        (b"\xff", "chat"),
        (b'{"a":' * 100_000, "chat"),
    ],
)
def test_the_fields_of_a_body_say_what_it_is_for(body, operation):
    assert operation_of(body) == operation
