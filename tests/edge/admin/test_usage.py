"""/api/v1/usage and /api/v1/requests over real HTTP."""

from __future__ import annotations

import csv
import io
import re

import pytest

USAGE = "/api/v1/usage"


@pytest.fixture
async def used(ask, plain):
    """Three good requests with the plain key and one bad one, and one with the admin's."""
    for _ in range(3):
        assert (await ask.chat("one two three four", plain)).status == 200
    refused = await ask.chat("hi", plain, n=129)
    assert refused.status == 400
    assert (await ask.chat("hi", model="bounded")).status == 200
    return plain.split("-")[1]


async def test_usage_is_told_by_what_is_asked(ask, used):
    (line,) = (await ask.good("GET", f"{USAGE}?by=key,model&key={used}"))["data"]
    assert (line["key_id"], line["model"]) == (used, "echo")
    assert (line["requests"], line["attempts"], line["failed"]) == (3, 3, 0)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (12, 9)
    assert line["cost_usd"] == "0.021000"
    assert line["mean_latency_ms"] > 0
    whole = (await ask.good("GET", USAGE))["data"]
    assert [each["requests"] for each in whole] == [4]
    models = (await ask.good("GET", f"{USAGE}?by=model"))["data"]
    assert {each["model"]: each["requests"] for each in models} == {"echo": 3, "bounded": 1}


@pytest.mark.parametrize(
    "label", ["key", "team", "user", "model", "provider", "target", "operation", "version", "cache"]
)
async def test_every_label_can_be_asked_for(ask, used, label):
    lines = (await ask.good("GET", f"{USAGE}?by={label},day"))["data"]
    assert sum(line["requests"] for line in lines) == 4
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", line["day"]) for line in lines)


async def test_a_plain_key_sees_its_own(ask, plain, used):
    (line,) = (await ask.good("GET", f"{USAGE}?by=key", key=plain))["data"]
    assert (line["key_id"], line["requests"]) == (used, 3)
    summary = await ask.good("GET", f"{USAGE}/summary", key=plain)
    assert summary["requests"] == 3
    assert not (await ask.good("GET", f"{USAGE}?model=bounded", key=plain))["data"]


async def test_the_table_says_what_the_json_says(ask, used):
    rows = (await ask.good("GET", f"{USAGE}?by=model,key"))["data"]
    answer = await ask("GET", f"{USAGE}?by=model,key&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.body.decode()
    assert text.count("\r\n") == text.count("\n") == len(rows) + 1
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert found == [{name: str(value) for name, value in row.items()} for row in rows]


async def test_a_span_without_requests_is_empty(ask, used):
    span = "since=2020-01-01&until=2020-02-01T00:00:00Z"
    assert (await ask.good("GET", f"{USAGE}?{span}"))["data"] == []
    answer = await ask("GET", f"{USAGE}?{span}&format=csv")
    assert answer.body.startswith(b"requests,attempts,failed,")
    assert answer.body.count(b"\r\n") == 1


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("by=colour", "by"),
        ("by=hour,day", "by"),
        ("since=yesterday", "since"),
        ("until=13th", "until"),
        ("since=1d&until=2d", "since"),
        ("format=xml", "format"),
        ("groupby=key", "groupby"),
    ],
)
async def test_a_mistake_is_named(ask, query, param):
    refused = await ask("GET", f"{USAGE}?{query}")
    assert (refused.status, refused.param) == (400, param)


async def test_the_last_hours_are_summed_up(ask, used):
    said = await ask.good("GET", f"{USAGE}/summary?hours=1&key={used}")
    assert (said["hours"], said["requests"], said["success_rate"]) == (1, 3, 1.0)
    assert said["cost_usd"] == "0.021000"
    assert 0 < said["latency"]["p50_ms"] <= said["latency"]["p95_ms"] <= said["latency"]["p99_ms"]
    assert said["operations"] == [{"name": "chat", "times": 3}]
    assert said["errors"] == []
    nothing = await ask.good("GET", f"{USAGE}/summary?user=nobody")
    assert (nothing["requests"], nothing["success_rate"]) == (0, None)
    refused = await ask("GET", f"{USAGE}/summary?hours=0")
    assert (refused.status, refused.param) == (400, "hours")


async def test_recent_requests_are_listed_the_newest_first(ask, used):
    listed = await ask.good("GET", f"/api/v1/requests?key={used}&limit=2")
    assert ([row["model"] for row in listed["data"]], listed["has_more"]) == (
        ["echo", "echo"],
        True,
    )
    row = listed["data"][0]
    assert (row["status"], row["error"], row["target"]) == (200, None, "up/fake")
    assert row["cost_usd"] == "0.007000"
    assert not (await ask.good("GET", "/api/v1/requests?status=error"))["data"]
    assert len((await ask.good("GET", "/api/v1/requests?status=ok&model=echo"))["data"]) == 3
    seen = [row["request_id"] for row in listed["data"]]
    rest = await ask.good("GET", f"/api/v1/requests?key={used}&limit=2&before={listed['before']}")
    assert ([listed["after"], len(rest["data"]), rest["has_more"]]) == [None, 1, False]
    back = await ask.good("GET", f"/api/v1/requests?key={used}&limit=2&after={rest['after']}")
    assert [row["request_id"] for row in back["data"]] == seen


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=200", 3),
        ("status=4xx", 0),
        ("status=5xx&error=internal_error", 0),
        ("min_latency_ms=86400000", 0),
        ("since=1h", 3),
        ("until=1h&status=ok", 0),
    ],
)
async def test_requests_are_looked_for(ask, used, query, count):
    found = await ask.good("GET", f"/api/v1/requests?key={used}&{query}")
    assert len(found["data"]) == count


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("status=bad", "status"),
        ("status=0", "status"),
        ("before=x", "before"),
        ("before=1_a&after=2_a", "after"),
        ("min_latency_ms=-1", "min_latency_ms"),
        ("since=never", "since"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(ask, query, param):
    refused = await ask("GET", f"/api/v1/requests?{query}")
    assert (refused.status, refused.param) == (400, param)


async def test_a_request_of_the_past_is_explained(ask, used):
    answer = await ask.chat("one two three four")
    said = await ask.good("GET", f"/api/v1/requests/{answer.headers['x-request-id']}/explain")
    assert said["outcome"] == {"status": 200, "code": None}
    assert (said["model"], said["target"], said["reason"]) == ("echo", "up/fake", "only target")
    assert said["cost_usd"] == answer.headers["x-gatemill-cost-usd"]
    (attempt,) = said["attempts"]
    assert (attempt["attempt"], attempt["cost_usd"]) == (1, said["cost_usd"])
