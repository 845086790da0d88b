"""Spending, and what is told of it: the whole way over real HTTP."""

from __future__ import annotations

import asyncio
import time

BUDGETS, LIMITS = "/api/v1/budgets", "/api/v1/limits"


async def _spender(ask, usd="0.15"):
    """A key whose team may spend so much a month."""
    budgets = {"month": {"usd": usd}}
    await ask.good("POST", "/api/v1/teams", {"id": "core", "limits": {"budgets": budgets}})
    await ask.good("POST", "/api/v1/users", {"id": "ada", "team_id": "core"})
    return await ask.good("POST", "/api/v1/keys", {"name": "app", "user_id": "ada"})


async def test_a_team_spends_its_budget_and_gets_more(ask):
    key = await _spender(ask)
    secret = key["secret"]
    spent = 0
    while (answer := await ask.chat("one two three", secret, max_tokens=5)).status == 200:
        cost = answer.headers["x-gatemill-cost-usd"]
        spent += round(float(cost) * 1e6)
    assert 0 < spent <= 150_000
    assert (answer.status, answer.json["error"]["code"]) == (429, "insufficient_quota")
    assert "team" in answer.json["error"]["message"]

    (budget,) = (await ask.good("GET", f"{BUDGETS}?scope=team&id=core"))["data"]
    assert (budget["scope"], budget["id"], budget["period"]) == ("team", "core", "month")
    assert (budget["limit_usd"], budget["held_usd"]) == ("0.150000", "0.000000")
    assert budget["spent_usd"] == f"{spent / 1e6:.6f}"
    assert budget["left_usd"] == f"{(150_000 - spent) / 1e6:.6f}"
    assert budget["starts_at"] < time.time() < budget["ends_at"]

    (line,) = (await ask.good("GET", "/api/v1/usage?by=team,user&team=core"))["data"]
    assert (line["team_id"], line["user_id"]) == ("core", "ada")
    assert line["cost_usd"] == budget["spent_usd"]

    more = {"limits": {"budgets": {"month": {"usd": 1}}}}
    await ask.good("PATCH", "/api/v1/teams/core", more)
    # This process knows it at once, others within a second.
    assert (await ask.chat("one two three", secret, max_tokens=5)).status == 200
    log = (await ask.good("GET", "/api/v1/audit?limit=1"))["data"]
    assert (log[0]["action"], log[0]["object_id"]) == ("update", "core")


async def test_a_limit_that_changes_counts_at_once(ask):
    limits = {"requests_per_minute": 1}
    key = await ask.good("POST", "/api/v1/keys", {"name": "app", "limits": limits})
    answers = [(await ask.chat(key=key["secret"])).status for _ in range(2)]
    assert answers == [200, 429]
    said = {"limits": {"requests_per_minute": 100}}
    await ask.good("PATCH", f"/api/v1/keys/{key['id']}", said)
    assert (await ask.chat(key=key["secret"])).status == 200


async def test_a_budget_that_was_taken_away_is_listed_no_more(ask):
    budgets = {"day": {"usd": 1}, "month": {"usd": 2}}
    key = await ask.good("POST", "/api/v1/keys", {"name": "app", "limits": {"budgets": budgets}})
    assert (await ask.chat(key=key["secret"], max_tokens=5)).status == 200
    said = {"limits": {"budgets": {"day": None}}}
    await ask.good("PATCH", f"/api/v1/keys/{key['id']}", said)
    assert (await ask.chat(key=key["secret"], max_tokens=5)).status == 200
    found = (await ask.good("GET", f"{BUDGETS}?scope=key"))["data"]
    assert [each["period"] for each in found] == ["month"]
    told = (await ask.good("GET", f"{LIMITS}?key={key['id']}"))["data"]
    assert [each["limit_usd"] for each in told if each["scope"] == "key"] == ["2.000000"]


async def test_every_budget_is_listed(ask):
    budgets = {"day": {"usd": 1}, "total": {"usd": 2, "hard": False}}
    for path in ("teams", "users"):
        await ask.good("POST", f"/api/v1/{path}", {"id": "x1", "limits": {"budgets": budgets}})
    key = await ask.good("POST", "/api/v1/keys", {"name": "k", "limits": {"budgets": budgets}})
    found = (await ask.good("GET", BUDGETS))["data"]
    told = [(each["scope"], each["id"], each["period"], each["hard"]) for each in found]
    assert told == [
        ("key", key["id"], "day", True),
        ("key", key["id"], "total", False),
        ("user", "x1", "day", True),
        ("user", "x1", "total", False),
        ("team", "x1", "day", True),
        ("team", "x1", "total", False),
        ("model", "bounded", "day", True),
    ]
    assert found[1]["ends_at"] is None
    for scope in ("key", "user", "team", "model"):
        only = (await ask.good("GET", f"{BUDGETS}?scope={scope}"))["data"]
        assert only == [each for each in found if each["scope"] == scope]
    page = await ask.good("GET", f"{BUDGETS}?limit=3")
    assert (page["data"], page["has_more"]) == (found[:3], True)
    await ask.good("DELETE", f"/api/v1/keys/{key['id']}")
    assert not (await ask.good("GET", f"{BUDGETS}?scope=key"))["data"]


async def test_a_budget_of_nobody_is_refused(ask):
    for scope in ("key", "user", "team", "model"):
        assert (await ask("GET", f"{BUDGETS}?scope={scope}&id=nobody")).status == 404
    refused = await ask("GET", f"{BUDGETS}?id=x")
    assert (refused.status, refused.param) == (400, "scope")
    refused = await ask("GET", f"{BUDGETS}?scope=house")
    assert (refused.status, refused.param) == (400, "scope")


async def test_the_limits_of_a_key_are_told_with_those_above_it(ask, plain):
    own = {"requests_per_minute": 60, "tokens_per_minute": 9000, "concurrency": 2}
    key = await ask.good(
        "POST", "/api/v1/keys", {"name": "app", "models": ["bounded"], "limits": own}
    )
    assert (await ask.chat(key=key["secret"], model="bounded", max_tokens=5)).status == 200
    found = (await ask.good("GET", f"{LIMITS}?key={key['id']}"))["data"]
    told = {(each["scope"], each.get("limit", each["object"])): each for each in found}
    assert told.keys() == {
        *(("key", name) for name in own),
        ("model", "requests_per_minute"),
        ("model", "budget"),
    }
    requests = told["key", "requests_per_minute"]
    assert (requests["most"], requests["used"], requests["left"]) == (60, 1, 59)
    assert 0 < told["key", "tokens_per_minute"]["used"] < 100
    assert told["key", "concurrency"]["used"] == told["key", "concurrency"]["held"] == 0
    assert await ask.good("GET", LIMITS, key=key["secret"]) == {
        "object": "limits",
        "key": key["id"],
        "data": found,
    }


async def test_money_that_is_held_is_told(ask):
    key = await _spender(ask, "10")
    asked = [
        asyncio.ensure_future(ask.chat("x " * 20_000, key["secret"], stream=True)) for _ in range(3)
    ]
    await asyncio.wait(asked)
    (budget,) = (await ask.good("GET", f"{BUDGETS}?scope=team"))["data"]
    amounts = [round(float(budget[f"{name}_usd"]) * 1e6) for name in ("spent", "held", "left")]
    assert sum(amounts) == 10_000_000
