"""Features over HTTP, in a running house: declared, written, read, given to requests, logged."""

from __future__ import annotations

import pytest

from api import api
from house_for_tests import opened

# A busy machine is no reason for defaults here, so a request may wait for its features.
CONFIG = """
[features]
budget_ms = 10_000
[models.strong]
targets = ["echo/strong"]
[models.cheap]
targets = ["echo/cheap"]
[models.best]
[models.best.by_feature]
feature = "user.tier"
models = { gold = "strong" }
default = "cheap"
"""
SETS, WRITE, READ, LOG = (
    "/v1/feature_sets/users",
    "/v1/features/write",
    "/v1/features/read",
    "/v1/features/log",
)
USERS = {
    "entity": "user",
    "features": [
        {"name": "tier", "type": "string", "default": "free", "ttl_s": 3600.5},
        {"name": "age", "type": "number", "default": 0.5, "ttl_s": None},
    ],
    "trusted": True,
}
TURN = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def asking(tmp_path):
    async with opened(tmp_path, CONFIG) as gate, api(gate) as asking:
        await asking.good("PUT", SETS, USERS)
        rows = [{"key": "u1", "values": {"tier": "gold", "age": 41.5}}]
        assert await asking.good("POST", WRITE, {"entity": "user", "rows": rows}) == {
            "object": "features.written",
            "written": 2,
        }
        yield asking


async def chat(asking, model="best", **more):
    body = {"model": model, "messages": TURN, **more}
    return await asking("POST", "/v1/chat/completions", body)


async def test_a_set_is_told_as_it_was_declared(asking):
    told = await asking.good("GET", SETS)
    assert told["features"] == USERS["features"]
    assert (told["trusted"], told["source"], told["join_key"]) == (True, "local", None)
    assert (await asking.good("GET", "/v1/feature_sets"))["data"] == [told]
    assert (await asking.good("DELETE", SETS))["deleted"] is True
    assert (await asking("GET", SETS)).status == 404


async def test_a_feature_decides_who_answers_and_no_provider_hears_of_it(asking):
    gold = await chat(asking, entities={"user": "u1"})
    assert gold.headers["x-gatemill-model"] == "echo/strong"
    assert gold.headers["x-gatemill-route"] == "user.tier gold"
    free = await chat(asking, entities={"user": "u2"})
    assert free.headers["x-gatemill-model"] == "echo/cheap"
    nobody = await chat(asking)
    assert nobody.headers["x-gatemill-route"] == "user.tier unknown"
    refused = await chat(asking, entities={"device": "d1"})
    assert (refused.status, refused.json["error"]["param"]) == (400, "entities.device")


async def test_an_explanation_shows_the_way_and_logs_nothing(asking):
    body = {"model": "best", "messages": TURN, "entities": {"user": "u1"}}
    told = await asking.good("POST", "/v1/explain", body)
    assert (told["leads_to"], told["reason"]) == ("strong", "user.tier gold")
    assert (await asking.good("GET", LOG))["data"] == []


async def test_a_prediction_is_given_features_and_the_log_says_which(asking):
    body = {"model": "builtin/sentiment", "input": "good", "entities": {"user": "u1"}}
    answer = await asking("POST", "/v1/predict", body)
    assert answer.status == 200
    (given,) = (await asking.good("GET", f"{LOG}?set=users"))["data"]
    assert given["request_id"] == answer.headers["x-request-id"]
    assert given["values"] == {"user.tier": "gold", "user.age": 41.5}
    assert (given["sets"], given["operation"]) == (["users"], "predict")
    assert (await asking.good("GET", f"{LOG}?as_of=1h"))["data"] == []


async def test_a_caller_may_not_say_what_the_platform_knows(asking):
    body = {"model": "builtin/sentiment", "input": "good", "features": {"user.tier": "gold"}}
    for more in ({}, {"entities": {"user": "u2"}}):
        refused = await asking("POST", "/v1/predict", {**body, **more})
        assert refused.status == 400
        assert refused.json["error"]["param"] == "features.user.tier"
    own = {**body, "features": {"channel": "ads"}}
    assert (await asking("POST", "/v1/predict", own)).status == 200


async def test_the_log_is_paged(asking):
    ids = []
    for _ in range(3):
        answer = await chat(asking, entities={"user": "u1"})
        ids.append(answer.headers["x-request-id"])
    page = await asking.good("GET", f"{LOG}?limit=2")
    assert (page["has_more"], [one["request_id"] for one in page["data"]]) == (True, ids[:0:-1])
    rest = await asking.good("GET", f"{LOG}?limit=2&after={ids[1]}")
    assert [one["request_id"] for one in rest["data"]] == ids[:1]


async def test_values_of_the_past_are_read(asking):
    rows = [{"key": "u1", "values": {"tier": "silver"}, "event_ts": "30m"}]
    await asking.good("POST", WRITE, {"entity": "user", "rows": rows})
    asked = {"entities": {"user": ["u1", "u9"]}, "features": ["user.tier"]}
    now, unknown = (await asking.good("POST", READ, asked))["rows"]
    assert now["values"] == {"user.tier": "gold"}
    assert unknown["statuses"] == {"user.tier": "NOT_FOUND"}
    then, _ = (await asking.good("POST", READ, {**asked, "as_of": "20m"}))["rows"]
    assert then["values"] == {"user.tier": "silver"}


WRONG = [
    ("PUT", "/v1/feature_sets/UP", USERS, 400, "name"),
    ("PUT", SETS, {**USERS, "trust": True}, 400, "trust"),
    ("PUT", SETS, {**USERS, "features": []}, 400, "features"),
    ("PUT", SETS, {**USERS, "features": [{"name": "x"}]}, 400, "features.0.type"),
    ("PUT", SETS, {**USERS, "source": "redis"}, 400, "source"),
    ("PUT", "/v1/feature_sets/more", USERS, 409, "features"),
    ("DELETE", "/v1/feature_sets/none", None, 404, "name"),
    ("POST", WRITE, {"entity": "user", "rows": []}, 400, "rows"),
    ("POST", WRITE, {"entity": "x", "rows": [{"key": "a", "values": {}}]}, 400, "entity"),
    ("POST", READ, {"entities": {"user": [""]}}, 400, "entities.user.0"),
    ("POST", READ, {"entities": {"user": ["a"]}, "as_of": "soon"}, 400, "as_of"),
    ("GET", LOG + "?limit=0", None, 400, "limit"),
    ("GET", LOG + "?set=none", None, 404, "name"),
    ("GET", LOG + "?as=1", None, 400, "as"),
]


async def test_what_is_wrong_is_named(asking):
    for method, path, body, status, param in WRONG:
        answer = await asking(method, path, body)
        assert (answer.status, answer.json["error"]["param"]) == (status, param), (path, body)


async def test_only_an_admin_may(asking):
    made = await asking.good("POST", "/api/v1/keys", {"name": "plain"})
    for method, path in (
        ("GET", "/v1/feature_sets"),
        ("GET", SETS),
        ("PUT", SETS),
        ("DELETE", SETS),
        ("POST", WRITE),
        ("POST", READ),
        ("GET", LOG),
    ):
        body = {} if method in ("PUT", "POST") else None
        assert (await asking(method, path, body, made["secret"])).status == 403, (method, path)


async def test_a_reload_keeps_what_is_declared(asking, tmp_path):
    (tmp_path / "gatemill.toml").write_text(CONFIG.replace("10_000", "5_000"))
    await asking.good("POST", "/api/v1/config/reload")
    answer = await chat(asking, entities={"user": "u1"})
    assert answer.headers["x-gatemill-model"] == "echo/strong"


async def test_the_numbers_are_scraped(asking):
    await chat(asking, entities={"user": "u1"})
    page = (await asking("GET", "/metrics")).body.decode()
    assert "gatemill_features_resolved_total 1.0" in page
    assert 'gatemill_features_defaults_total{reason="late"}' in page
    assert "gatemill_features_cache_misses_total 1.0" in page
    assert "gatemill_features_log_waiting" in page
