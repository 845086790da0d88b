"""/api/v1/teams, /api/v1/users and /api/v1/audit over real HTTP."""

from __future__ import annotations

import pytest

TEAMS, USERS = "/api/v1/teams", "/api/v1/users"
LIMITS = {"requests_per_minute": 9}


async def test_a_team_lives_and_ends(ask):
    made = await ask("POST", TEAMS, {"id": "core", "limits": LIMITS})
    assert (made.status, made.json["name"], made.json["limits"]) == (201, "core", LIMITS)
    assert (await ask.good("GET", f"{TEAMS}/core")) == made.json
    changed = await ask.good("PATCH", f"{TEAMS}/core", {"name": "Core"})
    assert (changed["name"], changed["limits"]) == ("Core", LIMITS)
    assert (await ask.good("GET", TEAMS))["data"] == [changed]
    gone = await ask.good("DELETE", f"{TEAMS}/core")
    assert gone == {"object": "team", "id": "core", "deleted": True}
    assert (await ask("GET", f"{TEAMS}/core")).status == 404


async def test_a_user_lives_and_ends(ask):
    await ask.good("POST", TEAMS, {"id": "core"})
    made = await ask("POST", USERS, {"id": "ada", "name": "Ada", "team_id": "core"})
    assert (made.status, made.json["name"], made.json["team_id"]) == (201, "Ada", "core")
    assert (await ask.good("GET", f"{USERS}/ada")) == made.json
    changed = await ask.good("PATCH", f"{USERS}/ada", {"team_id": None, "limits": LIMITS})
    assert (changed["name"], changed["team_id"], changed["limits"]) == ("Ada", "", LIMITS)
    assert (await ask.good("GET", USERS))["data"] == [changed]
    assert (await ask.good("DELETE", f"{USERS}/ada"))["deleted"]
    assert (await ask("DELETE", f"{USERS}/ada")).status == 404


@pytest.mark.parametrize("path", [TEAMS, USERS])
async def test_what_is_there_already_is_409(ask, path):
    await ask.good("POST", path, {"id": "x1"})
    refused = await ask("POST", path, {"id": "x1"})
    assert (refused.status, refused.json["code"]) == (409, "conflict")


async def test_who_is_needed_stays(ask):
    await ask.good("POST", TEAMS, {"id": "core"})
    await ask.good("POST", USERS, {"id": "ada", "team_id": "core"})
    await ask.good("POST", "/api/v1/keys", {"name": "app", "user_id": "ada"})
    assert (await ask("DELETE", f"{TEAMS}/core")).status == 409
    assert (await ask("DELETE", f"{USERS}/ada")).status == 409


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({}, "id"),
        ({"id": "A b"}, "id"),
        ({"id": "ok", "nmae": "x"}, "nmae"),
        ({"id": "ok", "limits": {"concurrency": 0}}, "limits.concurrency"),
        ({"id": "ok", "name": None}, "name"),
    ],
)
@pytest.mark.parametrize("path", [TEAMS, USERS])
async def test_a_mistake_is_named(ask, path, said, param):
    refused = await ask("POST", path, said)
    assert (refused.status, refused.param) == (400, param)


async def test_a_user_of_an_unknown_team_is_refused(ask):
    refused = await ask("POST", USERS, {"id": "ada", "team_id": "nowhere"})
    assert (refused.status, refused.param) == (400, "team_id")


@pytest.mark.parametrize("path", [TEAMS, USERS])
async def test_a_listing_says_whether_there_is_more(ask, path):
    for number in range(3):
        await ask.good("POST", path, {"id": f"n{number}"})
    listed = await ask.good("GET", f"{path}?limit=2")
    assert ([each["id"] for each in listed["data"]], listed["has_more"]) == (["n0", "n1"], True)
    assert not (await ask.good("GET", f"{path}?limit=3"))["has_more"]


async def test_every_change_is_in_the_audit_log_with_who_made_it(ask):
    admin = ask.admin.split("-")[1]
    await ask.good("POST", TEAMS, {"id": "core"})
    await ask.good("PATCH", f"{TEAMS}/core", {"name": "Core"})
    key = await ask.good("POST", "/api/v1/keys", {"name": "app", "team_id": "core"})
    await ask.good("POST", f"/api/v1/keys/{key['id']}/rotate")
    await ask.good("POST", USERS, {"id": "ada"})
    await ask.good("DELETE", f"{USERS}/ada")
    log = (await ask.good("GET", "/api/v1/audit"))["data"]
    assert [(entry["action"], entry["kind"]) for entry in log[:6]] == [
        ("delete", "user"),
        ("create", "user"),
        ("rotate", "key"),
        ("create", "key"),
        ("update", "team"),
        ("create", "team"),
    ]
    assert {entry["actor"] for entry in log[:6]} == {admin}
    assert log[4]["detail"] == {"name": ["core", "Core"]}
    assert key["secret"] not in str(log)
    page = await ask.good("GET", f"/api/v1/audit?limit=2&before={log[1]['id']}")
    assert page["data"] == log[2:4]
    assert page["has_more"]
    refused = await ask("GET", "/api/v1/audit?before=x")
    assert (refused.status, refused.param) == (400, "before")
