"""GET /api/v1/alerts over real HTTP: incidents by page, and what to do about each."""

from __future__ import annotations

import pytest

from gatemill.policy.incidents import RULES, Finding

PATH = "/api/v1/alerts"


def found(subject: str) -> Finding:
    return Finding("BreakerOpen", subject, "warning", 1.0, 1.0, 60.0)


async def test_incidents_are_listed_with_their_remedy_and_by_page(gate, ask):
    assert (await ask.good("GET", PATH))["data"] == []
    incidents = gate.home.ledger.incidents
    for subject in ("a/m", "b/m", "c/m"):
        await incidents.seen([found(subject)], 1e6, tells=False)
    first = await ask.good("GET", f"{PATH}?limit=2&state=open&name=BreakerOpen")
    assert [one["subject"] for one in first["data"]] == ["c/m", "b/m"]
    assert first["has_more"]
    one = first["data"][-1]
    assert (one["object"], one["state"], one["closed_at"]) == ("alert", "open", None)
    assert one["since"] == pytest.approx(one["opened_at"] - 60.0)
    assert one["remedy"] == RULES["BreakerOpen"].remedy
    assert one["runbook"] == "docs/runbooks/breaker-open.md"
    rest = await ask.good("GET", f"{PATH}?before={one['id']}")
    assert [other["subject"] for other in rest["data"]] == ["a/m"]
    assert not rest["has_more"]
    assert (await ask.good("GET", f"{PATH}?state=closed"))["data"] == []


@pytest.mark.parametrize(
    ("query", "param"), [("state=broken", "state"), ("name=Nothing", "name"), ("limit=0", "limit")]
)
async def test_what_is_asked_wrongly_is_said(ask, query, param):
    refused = await ask("GET", f"{PATH}?{query}")
    assert refused.status == 400
    assert f"`{param}`" in refused.json["detail"]
