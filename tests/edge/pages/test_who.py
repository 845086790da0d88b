"""What the pages about requests, keys, people, budgets and experiments tell, as their twins have it."""

from __future__ import annotations

import pytest

ORDINARY = ("requests", "keys", "teams", "users", "budgets", "audit", "experiments")
PRICED = """
[prices."up/fake"]
input = 1000
output = 1000
[prices."down/gone"]
input = 1000
output = 1000
[models.priced]
targets = ["up/fake"]
[models.falls]
targets = ["down/gone", "up/fake"]
strategy = "order"
[providers.down]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-down-key"
"""


@pytest.fixture
async def gate(house):
    return await house(PRICED)


@pytest.fixture
async def team(ask):
    """A key of a user of a team, with a budget each."""
    month = {"budgets": {"month": {"usd": 5}}}
    await ask.good("POST", "/api/v1/teams", {"id": "core", "name": "Core", "limits": month})
    await ask.good("POST", "/api/v1/users", {"id": "ada", "team_id": "core"})
    key = {"name": "ci", "user_id": "ada", "limits": {"budgets": {"day": {"usd": "0.5"}}}}
    return await ask.good("POST", "/api/v1/keys", key)


async def _spend(ask, key, **more):
    answer = await ask.chat("one two", key["secret"], model="priced", max_tokens=3, **more)
    assert answer.status == 200, answer.body
    return answer.headers["x-request-id"]


def _param(answer):
    assert answer.status == 400
    return answer.json["error"]["param"]


async def test_an_empty_house_shows_every_page(ask):
    for path in ORDINARY:
        assert (await ask("GET", f"/ui/{path}.json")).status == 200, path


async def test_requests_are_listed_found_and_paged(ask, team):
    ids = [await _spend(ask, team) for _ in range(2)]
    said = await ask.good("GET", "/ui/requests.json")
    assert [row["id"] for row in said["rows"]] == ids[::-1]
    assert (said["rows"][0]["key"], said["rows"][0]["target"]) == ("ci", "up/fake")
    assert (said["newer"], said["older"], said["to"]) == (None, None, None)
    one = await ask.good("GET", f"/ui/requests.json?id={ids[0]}")
    assert [row["id"] for row in one["rows"]] == [ids[0]]
    assert not (await ask.good("GET", "/ui/requests.json?status=error&user=ada"))["rows"]
    named = await ask.good("GET", "/ui/requests.json?key=ci")
    assert {row["key_id"] for row in named["rows"]} == {team["id"]}
    assert {"id": team["id"], "name": "ci"} in named["keys"]
    assert (await ask.good("GET", "/ui/requests.json?key=nobody"))["rows"] == []
    assert _param(await ask("GET", "/ui/requests.json?status=odd")) == "status"
    newer = await ask.good("GET", "/ui/requests.json?after=1_x")
    assert len(newer["rows"]) == 2


async def test_a_request_tells_of_every_attempt_and_when_it_began(ask, team):
    answer = await ask.chat("hi", team["secret"], model="falls", max_tokens=3)
    request_id = answer.headers["x-request-id"]
    said = await ask.good("GET", f"/ui/requests/{request_id}.json")
    first, second = said["attempts"]
    assert (first["target"], first["error"]) == ("down/gone", "upstream_unreachable")
    assert second["offset_ms"] >= first["offset_ms"] + first["latency_ms"] > 0
    assert said["total_ms"] == second["offset_ms"] + second["latency_ms"]
    assert second["tokens"] == {"input": 1, "output": 3}
    assert said["cost_microusd"] == 4000
    assert said["explanation"]["target"] == "up/fake"
    assert said["explain_url"].endswith(f"/api/v1/requests/{request_id}/explain")
    assert (said["key"], said["trace_url"]) == ("ci", "")
    assert (await ask("GET", "/ui/requests/req_none.json")).status == 404


async def test_a_key_tells_its_limits_and_what_it_used_but_no_secret(ask, team):
    await _spend(ask, team)
    answer = await ask("GET", f"/ui/keys/{team['id']}.json")
    assert team["secret"].encode() not in answer.body
    said = answer.json
    assert [(each["scope"], each["name"], each["used"]) for each in said["levels"]] == [
        ("key", "budget_day", 5000),
        ("team", "budget_month", 5000),
    ]
    assert said["levels"][0]["share"] == 0.01
    use = said["use"]
    assert (len(use["times"]), use["requests"][-1], use["cost"][-1]) == (30, 1, 5000)
    assert use["models"] == [{"name": "priced", "value": 5000}]
    assert (said["key"]["team_id"], said["key"]["own_team_id"]) == ("core", "")


async def test_keys_are_found_by_name_state_and_owner_and_paged(ask, team, monkeypatch):
    monkeypatch.setattr("gatemill.edge.pages.keys.LIMIT", 2)
    gone = await ask.good("POST", "/api/v1/keys", {"name": "100%_gone"})
    await ask.good("DELETE", f"/api/v1/keys/{gone['id']}")

    async def names(query=""):
        said = await ask.good("GET", f"/ui/keys.json?{query}")
        return [one["name"] for one in said["keys"]], said["older"]

    assert await names() == (["ci", "dev"], None)
    assert await names("state=ended") == (["100%_gone"], None)
    assert (await names("q=CI"))[0] == (await names("q=ada"))[0] == ["ci"]
    assert await names("q=%25_g&state=all") == (["100%_gone"], None)
    first, older = await names("state=all")
    assert first == ["100%_gone", "ci"]
    assert await names(f"state=all&before={older}") == (["dev"], None)
    for path in ("/ui/teams/core.json", "/ui/users/ada.json"):
        assert [one["name"] for one in (await ask.good("GET", path))["keys"]] == ["ci"]


async def test_teams_and_users_tell_their_budgets_and_people(ask, team):
    await _spend(ask, team)
    (core,) = (await ask.good("GET", "/ui/teams.json"))["people"]
    assert (core["id"], core["budgets"][0]["used"]) == ("core", 5000)
    one = await ask.good("GET", "/ui/teams/core.json")
    assert [each["id"] for each in one["users"]] == ["ada"]
    assert one["use"]["total"]["cost_microusd"] == 5000
    (ada,) = (await ask.good("GET", "/ui/users.json"))["people"]
    assert (ada["team_id"], ada["budgets"]) == ("core", [])
    assert (await ask("GET", "/ui/teams/none.json")).status == 404


async def test_budgets_tell_how_much_is_gone_and_who_was_refused(ask, team):
    for _ in range(2):
        await _spend(ask, team)
    while (await ask.chat("one two", team["secret"], model="priced", max_tokens=3)).status == 200:
        pass
    said = await ask.good("GET", "/ui/budgets.json?scope=key")
    (day,) = said["budgets"]
    assert (day["called"], day["most"], day["hard"]) == ("ci", 500_000, True)
    assert day["share"] > 0.5
    assert said["refusals"] == {"key": 1}
    assert len((await ask.good("GET", "/ui/budgets.json"))["budgets"]) == 2
    assert _param(await ask("GET", "/ui/budgets.json?scope=odd")) == "scope"


async def test_the_audit_log_is_filtered_and_paged(ask, team, monkeypatch):
    monkeypatch.setattr("gatemill.edge.pages.audit.LIMIT", 2)
    said = await ask.good("GET", "/ui/audit.json")
    assert [(each["action"], each["kind"]) for each in said["entries"]] == [
        ("create", "key"),
        ("create", "user"),
    ]
    assert said["entries"][0]["by"] == "dev"
    assert "limits budgets $0.50/day" in said["entries"][0]["words"]
    assert "user id ada" in said["entries"][0]["words"]
    rest = await ask.good("GET", f"/ui/audit.json?before={said['older']}&kind=team&since=1h")
    assert [each["object_id"] for each in rest["entries"]] == ["core"]
    assert team["secret"] not in str(said)
    await ask.good("PATCH", "/api/v1/users/ada", {"name": "Ada", "team_id": ""})
    (change,) = (await ask.good("GET", "/ui/audit.json?action=update"))["entries"]
    assert change["words"] == "name ada \u2192 Ada \u00b7 team id core \u2192 none"


async def test_an_experiment_tells_its_arms_and_what_may_be_said(ask, team):
    arms = [{"name": name, "model": "echo"} for name in ("a", "b")]
    metric = {"name": "solved", "kind": "binary"}
    made = await ask.good(
        "POST", "/v1/experiments", {"name": "try", "arms": arms, "metric": metric}
    )
    await ask.good("POST", f"/v1/experiments/{made['id']}/start", {"reason": "why not"})
    answer = await ask.chat("hi", team["secret"], model="try")
    assert answer.status == 200
    said = await ask.good("GET", "/ui/experiments.json?state=running")
    assert [one["name"] for one in said["experiments"]] == ["try"]
    one = await ask.good("GET", f"/ui/experiments/{made['id']}.json")
    assert sum(arm["requests"] for arm in one["arms"]) == 1
    assert one["metrics"][0]["comparisons"][0]["verdict"].endswith(
        "too few outcomes yet to say anything."
    )
    newest = one["events"][0]
    assert (newest["by"], newest["action"], newest["reason"]) == ("dev", "start", "why not")
    assert (await ask("GET", "/ui/experiments/exp_none.json")).status == 404


async def test_a_key_that_is_no_admins_sees_none_of_it(ask, team):
    for path in ORDINARY:
        assert (await ask("GET", f"/ui/{path}.json", key=team["secret"])).status == 403, path
