"""Recorded requests asked again: in a running house, with its worker, its ledger and its cache."""

from __future__ import annotations

import asyncio

import pytest

from api import api
from gatemill.core.call import Key
from gatemill.core.errors import InvalidValue, ModelNotFound, PermissionDenied
from gatemill.jobs.judging import Judge
from gatemill.jobs.kinds import replay
from gatemill.jobs.kinds.replay import Args, Filter, Similarity
from gatemill.jobs.replaying import Against
from gateway_parts import KEY, Stage, route
from house_for_tests import opened
from playbook import target

PATIENCE_S = 90.0
CONFIG = """
[models.m]
targets = ["echo/echo"]
[models.m.cache]
ttl_s = 600.0
[models.other]
targets = ["echo/echo"]
[recordings]
share = 1.0
[features]
budget_ms = 10_000
[jobs]
poll_s = 0.05
"""
ADMIN = Key(id="k9", name="admin", admin=True)
REPLAY = {"kind": replay.NAME}


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG, works=True) as gate:
        yield gate


@pytest.fixture
async def asking(gate):
    async with api(gate) as asking:
        yield asking


async def done(asking, **args):
    answer = await asking("POST", "/v1/jobs", {**REPLAY, "args": args})
    assert answer.status == 202, answer.body
    async with asyncio.timeout(PATIENCE_S):
        while True:
            job = await asking.good("GET", f"/v1/jobs/{answer.json['id']}")
            if job["state"] in ("succeeded", "dead"):
                return job
            await asyncio.sleep(0.02)


async def result(asking, **args):
    job = await done(asking, **args)
    assert job["state"] == "succeeded", job
    return job["result"]


async def test_recorded_requests_are_asked_again_and_compared(asking):
    await asking.chat("one two", model="m")
    await asking.chat("three", model="m", stream=True)
    await asking.chat(model="none/none")  # a failure is not asked again
    found = await result(asking, filter={"model": "m"}, against={"model": "other"}, texts=True)
    assert (found["selected"], found["compared"], found["failed"]) == (2, 2, 0)
    assert found["answers"]["equal"]["share"] == 1.0
    assert found["answers"]["same_finish"]["share"] == 1.0
    assert (found["cost_microusd"]["before"], found["latency_ms"]["count"]) == (0.0, 2)
    assert found["usage"]["total_tokens"] > 0
    assert [row["texts"] for row in found["rows"]] == [["three", "three"], ["one two", "one two"]]
    assert {row["target"] for row in found["rows"]} == {"echo/echo"}
    assert all(row["prompt_tokens"][0] == row["prompt_tokens"][1] for row in found["rows"])


async def test_replays_pass_the_cache_by_and_are_not_recorded(asking, gate):
    await asking.chat("one", model="m")
    hit = await asking.chat("one", model="m")
    assert hit.headers["x-gatemill-cache"] == "hit"
    hits = gate.home.gateway.recall.hits
    found = await result(asking, filter={"model": "m"})
    assert gate.home.gateway.recall.hits == hits
    # Of the answer that was kept, neither cost nor latency is compared.
    assert (found["compared"], found["latency_ms"]["count"]) == (2, 1)
    assert len((await asking.good("GET", "/v1/recordings"))["data"]) == 2


async def test_other_fields_make_other_answers_and_a_judge_is_asked(asking):
    for text in ("one two three", "four five six"):
        await asking.chat(text, model="m")
    found = await result(
        asking,
        filter={"limit": 1},
        against={"params": {"max_tokens": 1}},
        similarity={"model": "builtin/hash-512"},
        judge={"model": "other"},
    )
    assert (found["selected"], found["answers"]["equal"]["share"]) == (1, 0.0)
    (row,) = found["rows"]
    assert (row["finish"], row["equal"], row["alike"]) == (["stop", "length"], False, False)
    assert 0.0 < row["similarity"] < 1.0
    assert "texts" not in row
    assert "prompt" not in row
    # The echo model says back what it is told, which is no judgement.
    assert (found["judge"]["pairs"], found["judge"]["failed"]) == (1, 1)


async def test_equal_answers_are_a_tie_that_costs_nothing(asking):
    await asking.chat("one", model="m")
    found = await result(asking, against={"model": "other"}, judge={"model": "other"})
    assert (found["judge"]["ties"], found["rows"][0]["verdict"]) == (1, "tie")


async def test_what_cannot_be_asked_again_is_said_and_the_rest_goes_on(asking):
    good = (await asking.chat("one", model="m")).headers["x-request-id"]
    failed = (await asking.chat(model="none/none")).headers["x-request-id"]
    predicted = await asking("POST", "/v1/predict", {"model": "builtin/sentiment", "input": "good"})
    odd = predicted.headers["x-request-id"]
    found = await result(
        asking, request_ids=[good, failed, odd, "req_none", good], against={"model": "other"}
    )
    assert (found["selected"], found["compared"], found["skipped"]) == (4, 1, 2)
    assert found["errors"] == {"unsupported_operation": 1}
    told = {row["request_id"]: row for row in found["rows"]}
    assert told[failed]["skipped"] == "failed when it was recorded"
    assert told["req_none"]["skipped"] == "not recorded"
    assert told[odd]["error"]["code"] == "unsupported_operation"


async def test_features_are_as_they_were(asking):
    users = {"entity": "user", "features": [{"name": "tier", "type": "string"}], "trusted": True}
    await asking.good("PUT", "/v1/feature_sets/users", users)
    values = {"entity": "user", "rows": [{"key": "u1", "values": {"tier": "gold"}}]}
    await asking.good("POST", "/v1/features/write", values)
    body = {"model": "builtin/sentiment", "input": "good", "entities": {"user": "u1"}}
    assert (await asking("POST", "/v1/predict", body)).status == 200
    values["rows"][0]["values"]["tier"] = "none"
    await asking.good("POST", "/v1/features/write", values)
    found = await result(asking)
    assert (found["compared"], found["answers"]["equal"]["share"]) == (1, 1.0)


async def test_the_ledger_says_which_job_asked(asking):
    await asking.chat("one", model="m")
    job = await done(asking, against={"model": "other"})
    rows = (await asking.good("GET", "/api/v1/requests?model=other"))["data"]
    assert len(rows) == 1
    assert job["cost_usd"] == "0.000000"


# --- Refused before it is accepted ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "error", "param"),
    [
        (Args(filter=Filter(), request_ids=["r"]), InvalidValue, "request_ids"),
        (Args(filter=Filter(since="soon")), InvalidValue, "filter.since"),
        (Args(against=Against(params={"model": "x"})), InvalidValue, "against.params.model"),
        (Args(filter=Filter(limit=1001), texts=True), InvalidValue, "texts"),
        (Args(request_ids=["r"] * 1001, judge=Judge("m")), InvalidValue, "judge"),
        (Args(against=Against("none")), ModelNotFound, "model"),
        (Args(similarity=Similarity("none")), ModelNotFound, "model"),
        (Args(judge=Judge("none")), ModelNotFound, "model"),
    ],
)
def test_what_is_wrong_is_named(args, error, param):
    stage = Stage(route(target()))
    with pytest.raises(error) as raised:
        replay.check(args, ADMIN, stage.gateway)
    assert raised.value.param == param


def test_only_an_admin_may():
    with pytest.raises(PermissionDenied, match="admin key"):
        replay.check(Args(), KEY, Stage(route(target())).gateway)


def test_what_is_right_is_taken():
    args = Args(filter=Filter(since=5, until="1h"), against=Against("m"), judge=Judge("m"))
    replay.check(args, ADMIN, Stage(route(target())).gateway)
