"""The page of alerts: what is open stands above what is over, as the API tells both."""

from __future__ import annotations

import math

import pytest
import pytest_asyncio

from api import Api, web
from gatemill.policy.incidents import CRITICAL, RULES, WARNING, Finding
from house_for_tests import opened

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory):
    async with opened(tmp_path_factory.mktemp("alerts"), "[alerts]\nwatch = false") as home:
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(gate):
    async with web(gate.url) as client:
        yield Api(gate, client)


async def test_open_alerts_stand_above_those_that_are_over_with_their_remedies(gate, ask):
    assert (await ask.good("GET", "/ui/alerts.json"))["open"] == []
    incidents = gate.door.signin.ledger.incidents
    over = Finding("BreakerOpen", "up/<b>", WARNING, 1.0, 1.0, 60.0)
    now = Finding("QueueOldestAge", "batch", WARNING, 400.0, 300.0, 60.0)
    await incidents.seen([over], math.inf, tells=False)
    await incidents.seen([], 0.0, tells=False)
    await incidents.seen([now], math.inf, tells=False)
    told = await ask.good("GET", "/ui/alerts.json")
    assert [one["name"] for one in told["open"]] == ["QueueOldestAge"]
    assert [one["subject"] for one in told["over"]] == ["up/<b>"]
    listed = (await ask.good("GET", "/api/v1/alerts"))["data"]
    assert told["open"] + told["over"] == listed
    assert listed[0]["remedy"]
    assert (await ask.good("GET", "/ui/alerts.json?name=BreakerOpen"))["open"] == []
    assert (await ask("GET", "/ui/alerts.json?name=Nothing")).status == 400
    front = await ask.good("GET", "/ui/overview.json")
    assert [one["name"] for one in front["alerts"]] == ["QueueOldestAge"]
    worst = Finding("DiskNearlyFull", "", CRITICAL, 0.95, 0.9, 60.0)
    later = Finding("BreakerOpen", "up/x", WARNING, 1.0, 1.0, 60.0)
    await incidents.seen([now, worst], math.inf, tells=False)
    await incidents.seen([now, worst, later], math.inf, tells=False)
    front = await ask.good("GET", "/ui/overview.json")
    assert front["alerts"][0]["name"] == "DiskNearlyFull"
    assert front["alerts"][0]["summary"] == RULES["DiskNearlyFull"].summary
