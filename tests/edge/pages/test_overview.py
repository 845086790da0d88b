"""The overview, its live numbers, models and providers: what their twins say of known usage."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from api import Api, web
from gatemill.edge.pages import live
from house_for_tests import opened
from usage_rows import usage_row

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
[providers.away]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_keys = ["sk-a-secret-of-ours-1234", "sk-another-secret-5678"]
[breaker]
failures = 1

# Ours.
[models.fast]
targets = ["echo/echo"]
[models.smart]
targets = [
    {provider = "echo", model = "large", weight = 3},
    {provider = "echo", model = "other"},
]
fallbacks = ["fast"]
[models.smart.cache]
ttl_s = 60
[models.broken]
targets = ["away/gpt"]
[models."vendor/*"]
targets = ["echo/*"]
"""
HOUR_S = 3_600
PATIENCE_S = 60.0


@asynccontextmanager
async def used(folder):
    """A house that has been asked forty times."""
    async with opened(folder, CONFIG) as home:
        now_s = home.door.gateway.clock.unix_s()
        ledger = home.door.signin.ledger
        for number in range(40):
            ledger.record(
                usage_row(
                    number,
                    at=now_s - 5.0 if number < 20 else now_s - 26 * HOUR_S,
                    key_id=home.key.split("-")[1],
                    model="fast" if number % 2 else "vendor/new",
                    provider="echo",
                    cache="hit" if number < 5 else "",
                    error="upstream_timeout" if number == 7 else "",
                    latency_ms=100.0,
                    first_token_ms=20.0,
                    cost_microusd=1_000,
                )
            )
        await ledger.flushed()
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory):
    async with used(tmp_path_factory.mktemp("overview")) as home:
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(gate):
    async with web(gate.url) as client:
        yield Api(gate, client)


def tiles(told):
    return {one["name"]: one["value"] for one in told["tiles"]}


async def test_the_overview_adds_up_what_was_asked_in_the_span(ask, gate):
    told = await ask.good("GET", "/ui/overview.json?range=1h")
    found = tiles(told)
    assert found["requests"] == 20
    assert found["failed"] == pytest.approx(1 / 20)
    assert found["hits"] == pytest.approx(5 / 20)
    assert found["cost"] == 20_000
    assert found["p95"] == pytest.approx(100.0, rel=0.13)
    assert found["first_p50"] == pytest.approx(20.0, rel=0.13)
    assert found["tokens"] > 0
    assert sum(told["charts"]["requests"][0]["values"]) == 20
    assert sum(told["charts"]["requests"][1]["values"]) == 1
    assert {one["name"] for one in told["charts"]["cost"]} == {"fast", "vendor/new"}
    assert told["models"][0]["requests"] == 10
    assert [(one["name"], one["cost_microusd"]) for one in told["keys"]] == [("dev", 20_000)]
    assert told["jobs"] == {"waiting": 0, "running": 0, "oldest_s": None}


@pytest.mark.parametrize(
    ("span", "requests", "points"),
    [("15min", 20, 15), ("24h", 20, 24), ("7d", 40, 84), ("30d", 40, 30)],
)
async def test_every_span_has_few_steps_and_all_that_was_asked(ask, span, requests, points):
    told = await ask.good("GET", f"/ui/overview.json?range={span}")
    assert tiles(told)["requests"] == requests
    assert len(told["times"]) == points
    for chart in told["charts"].values():
        assert all(len(one["values"]) == points for one in chart)


async def test_a_span_that_is_not_offered_is_refused_by_name(ask):
    refused = await ask("GET", "/ui/overview.json?range=2y")
    assert refused.status == 400
    assert "15min, 1h, 24h, 7d, 30d" in refused.json["error"]["message"]


async def until(holds):
    given_up_s = time.monotonic() + PATIENCE_S
    while True:
        if holds():
            return
        assert time.monotonic() < given_up_s
        await asyncio.sleep(0.01)


async def events(gate, count, path="/ui/live?range=1h"):
    """The first events of a live stream."""
    found = []
    headers = {"authorization": f"Bearer {gate.key}"}
    async with (
        asyncio.timeout(PATIENCE_S),
        web(gate.url) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if len(found) == count:
                    break
    return found


async def test_live_numbers_are_the_words_of_the_tiles(ask, gate):
    (first,) = await events(gate, 1)
    told = await ask.good("GET", "/ui/overview.json?range=1h")
    assert set(first) == set(tiles(told))
    assert first["failed"] == "5.00 %"
    assert first["p95"] == "126 ms" or first["p95"].endswith(" ms")
    assert first["in_flight"] == "0"


async def test_live_streams_are_counted_and_bounded(ask, gate):
    await until(lambda: not gate.door.onlookers)
    gate.door.onlookers = live.LISTENERS_MAX
    try:
        assert f"gatemill_ui_listeners {live.LISTENERS_MAX}.0" in (
            (await ask("GET", "/metrics")).body.decode()
        )
        refused = await ask("GET", live.PATH)
        assert refused.status == 503
        assert "Load the page again" in refused.json["error"]["message"]
    finally:
        gate.door.onlookers = 0


async def test_live_numbers_need_somebody_who_may_read_them(ask):
    assert (await ask("GET", live.PATH, key="")).status == 401
    made = await ask.good("POST", "/api/v1/keys", {"name": "app"})
    assert (await ask("GET", live.PATH, key=made["secret"])).status == 403


async def test_the_models_page_has_every_name_with_its_targets_and_its_usage(ask):
    told = await ask.good("GET", "/ui/models.json")
    found = {one["name"]: one for one in told["models"]}
    assert {"fast", "smart", "broken", "vendor/*", "echo"} <= set(found)
    smart = found["smart"]
    assert [(one["label"], one["weight"]) for one in smart["targets"]] == [
        ("echo/large", 3.0),
        ("echo/other", 1.0),
    ]
    assert [one["label"] for one in smart["fallbacks"]] == ["echo/echo"]
    assert smart["cache"]["ttl_s"] == 60
    assert smart["targets"][0]["price"] == {"input": 0, "output": 0, "cache_read": 0}
    assert (found["fast"]["requests"], found["vendor/*"]["requests"]) == (10, 10)
    assert found["fast"]["p95_ms"] == pytest.approx(100.0, rel=0.13)
    assert found["smart"]["p95_ms"] is None
    few = await ask.good("GET", "/ui/models.json?q=large")
    assert [one["name"] for one in few["models"]] == ["smart"]


async def test_a_model_says_where_it_is_defined_and_how(ask, gate):
    told = await ask.good("GET", "/ui/models/smart.json")
    assert told["defined"]["origin"].endswith("gatemill.toml:12")
    assert told["defined"]["text"].startswith("[models.smart]\ntargets = [\n    {provider")
    assert told["defined"]["text"].endswith("[models.smart.cache]\nttl_s = 60")
    found = await ask.good("GET", "/ui/models/echo.json")
    assert found["defined"]["text"] == ""
    named = await ask.good("GET", "/ui/models/vendor/new.json?range=7d")
    assert named["requests"] == 20
    assert named["route"]["name"] == "vendor/*"
    assert named["defined"]["text"].startswith('[models."vendor/*"]')
    pattern = await ask.good("GET", "/ui/models/vendor/*.json?range=7d")
    assert [one["attempts"] for one in pattern["providers"]] == [20]
    for told in (pattern, named):
        assert (told["requests"], told["cost_microusd"]) == (20, 20_000)
        assert told["p95_ms"] == pytest.approx(100.0, rel=0.13)
    assert (await ask("GET", "/ui/models/nothing-like-it.json")).status == 404
    assert (await ask("GET", "/ui/models/fast.json?range=1h")).status == 400


async def test_providers_say_how_they_are_and_no_secret(tmp_path):
    # It asks: the others count what was asked.
    async with (
        used(tmp_path) as home,
        web(home.url) as client,
    ):
        ask = Api(home, client)
        answer = await ask.chat(model="broken")
        assert answer.status >= 500
        said = await ask("GET", "/ui/providers.json")
        assert b"secret" not in said.body
        assert b"1234" not in said.body
        found = {one["name"]: one for one in said.json["providers"]}
        (away,) = found["away"]["targets"]
        assert away["error"]
        assert away["keys"] == 2
        assert found["away"]["failed_share"] == 1.0
        assert found["echo"]["attempts"] == 20
        assert found["echo"]["tokens"] == 20 * (100 + 20 + 3 + 40 + 5)  # with what a cache takes
        assert len(found["echo"]["attempts_by_hour"]) == 24
        overview = await ask.good("GET", "/ui/overview.json?range=15min")
        assert overview["targets"][0]["label"] == "away/gpt"
        assert overview["targets"][0]["state"] == "open"
        assert overview["targets"][0]["tone"] == "bad"


async def test_the_stream_ends_when_the_server_shuts_down(gate):
    waiting = asyncio.create_task(events(gate, 1_000))
    await until(lambda: gate.door.onlookers)
    gate.door.draining = True
    try:
        assert len(await waiting) < 1_000
    finally:
        gate.door.draining = False
