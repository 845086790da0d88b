"""/api/v1/keys over real HTTP."""

from __future__ import annotations

import re

import pytest

KEYS = "/api/v1/keys"
LIMITS = {
    "requests_per_minute": 60,
    "tokens_per_minute": 100_000,
    "concurrency": 5,
    "requests_per_day": 1000,
    "budgets": {"month": {"usd": "50.000000", "hard": True, "alert_at": [0.8, 1.0]}},
}


async def test_a_key_is_made_with_its_secret_once(ask):
    made = await ask("POST", KEYS, {"name": "app", "models": ["echo"], "limits": LIMITS})
    assert made.status == 201
    key = made.json
    assert re.fullmatch(r"gm-[0-9a-z]{10}-[0-9A-Za-z]{43}", key["secret"])
    shown = await ask.good("GET", f"{KEYS}/{key['id']}")
    assert "secret" not in shown
    assert {**shown, "secret": key["secret"]} == key
    assert (shown["state"], shown["models"], shown["limits"]) == ("live", ["echo"], LIMITS)
    assert (await ask.chat(key=key["secret"])).status == 200


async def test_keys_are_listed_the_newest_first(ask):
    for name in ("one", "two", "three"):
        await ask.good("POST", KEYS, {"name": name})
    listed = await ask.good("GET", f"{KEYS}?limit=2")
    assert ([key["name"] for key in listed["data"]], listed["has_more"]) == (["three", "two"], True)
    listed = await ask.good("GET", KEYS)
    assert (len(listed["data"]), listed["has_more"]) == (4, False)


async def test_a_change_leaves_what_it_does_not_name(ask):
    key = await ask.good("POST", KEYS, {"name": "app", "limits": LIMITS})
    one = f"{KEYS}/{key['id']}"
    said = {"limits": {"requests_per_minute": 7, "concurrency": None}}
    changed = await ask.good("PATCH", one, said)
    expected = {**LIMITS, "requests_per_minute": 7}
    del expected["concurrency"]
    assert (changed["name"], changed["limits"]) == ("app", expected)
    said = {"name": "other", "limits": {"budgets": {"day": {"usd": 0.5}, "month": None}}}
    changed = await ask.good("PATCH", one, said)
    assert changed["limits"]["budgets"] == {
        "day": {"usd": "0.500000", "hard": True, "alert_at": [0.8, 1.0]}
    }
    assert changed["name"] == "other"
    assert (await ask.good("PATCH", one, {"limits": None}))["limits"] == {}


async def test_a_budget_keeps_what_a_change_of_it_does_not_name(ask):
    budget = {"usd": "5", "hard": False, "alert_at": [0.5]}
    key = await ask.good("POST", KEYS, {"name": "a", "limits": {"budgets": {"day": budget}}})
    said = {"limits": {"budgets": {"day": {"usd": 7}}}}
    changed = await ask.good("PATCH", f"{KEYS}/{key['id']}", said)
    assert changed["limits"]["budgets"]["day"] == {**budget, "usd": "7.000000"}


async def test_a_key_is_given_away_and_taken_back(ask):
    await ask.good("POST", "/api/v1/teams", {"id": "core"})
    await ask.good("POST", "/api/v1/users", {"id": "ada", "team_id": "core"})
    key = await ask.good("POST", KEYS, {"name": "app", "user_id": "ada"})
    assert (key["user_id"], key["team_id"]) == ("ada", "core")
    freed = await ask.good("PATCH", f"{KEYS}/{key['id']}", {"user_id": None})
    assert (freed["user_id"], freed["team_id"]) == ("", "")


async def test_a_revoked_key_ends_at_once(ask):
    key = await ask.good("POST", KEYS, {"name": "app"})
    assert (await ask.good("DELETE", f"{KEYS}/{key['id']}"))["state"] == "revoked"
    assert (await ask.chat(key=key["secret"])).status == 401
    assert (await ask.good("GET", f"{KEYS}/{key['id']}"))["revoked_at"] > 0


async def test_a_key_is_replaced_with_a_grace(ask):
    key = await ask.good("POST", KEYS, {"name": "app", "limits": LIMITS})
    new = await ask("POST", f"{KEYS}/{key['id']}/rotate", {"grace_s": 60})
    assert (new.status, new.json["name"], new.json["limits"]) == (201, "app", LIMITS)
    assert (await ask.chat(key=key["secret"])).status == 200
    assert (await ask.good("GET", f"{KEYS}/{key['id']}"))["state"] == "replaced"
    other = await ask.good("POST", KEYS, {"name": "other"})
    assert (await ask("POST", f"{KEYS}/{other['id']}/rotate", {"grace_s": 0})).status == 201
    assert (await ask.chat(key=other["secret"])).status == 401


async def test_a_rotation_needs_no_body(ask):
    key = await ask.good("POST", KEYS, {"name": "app"})
    assert (await ask("POST", f"{KEYS}/{key['id']}/rotate")).status == 201


@pytest.mark.parametrize(
    ("said", "param", "code"),
    [
        ({}, "name", "missing_required_parameter"),
        ({"name": 1}, "name", "invalid_type"),
        ({"name": " "}, "name", "invalid_value"),
        ({"name": "a", "model": ["x"]}, "model", "unsupported_parameter"),
        ({"name": "a", "models": []}, "models", "invalid_value"),
        ({"name": "a", "models": "x"}, "models", "invalid_type"),
        ({"name": "a", "models": [1]}, "models.0", "invalid_type"),
        ({"name": "a", "admin": "yes"}, "admin", "invalid_type"),
        ({"name": "a", "admin": None}, "admin", "invalid_type"),
        ({"name": "a", "expires_at": 1}, "expires_at", "invalid_value"),
        ({"name": "a", "expires_at": 1e300}, "expires_at", "invalid_value"),
        ({"name": "a", "user_id": "nobody"}, "user_id", "invalid_value"),
        ({"name": "a", "team_id": "nobody"}, "team_id", "invalid_value"),
        ({"name": "a", "limits": []}, "limits", "invalid_type"),
        ({"name": "a", "limits": {"rpm": 1}}, "limits.rpm", "unsupported_parameter"),
        ({"name": "a\0"}, "name", "invalid_value"),
    ],
)
async def test_a_mistake_is_named_and_nothing_is_made(ask, said, param, code):
    refused = await ask("POST", KEYS, said)
    assert (refused.status, refused.param, refused.json["code"]) == (400, param, code)
    assert refused.headers["content-type"] == "application/problem+json"
    assert param.rpartition(".")[2] in refused.json["detail"] or code == "invalid_value"
    assert len((await ask.good("GET", KEYS))["data"]) == 1


@pytest.mark.parametrize("said", [b"[]", b"{", b"\xff", b"null", b"[" * 5000])
async def test_a_body_that_is_no_object_is_refused(ask, said):
    refused = await ask("POST", KEYS, said)
    assert refused.status == 400


async def test_a_large_body_is_refused(ask):
    assert (await ask("POST", KEYS, b" " * (1 << 20) + b"{}")).status == 413


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=10001", "limit=-1", "limit=1&limit=2"]
)
async def test_a_query_that_is_wrong_is_named(ask, query):
    refused = await ask("GET", f"{KEYS}?{query}")
    assert (refused.status, refused.param) == (400, "limit")


async def test_an_unknown_query_is_named(ask):
    refused = await ask("GET", f"{KEYS}?lmit=1")
    assert (refused.status, refused.param) == (400, "lmit")
    assert "Use limit" in refused.json["detail"]


async def test_an_unknown_key_is_404_everywhere(ask):
    one = f"{KEYS}/nothere000"
    for method, path, said in (
        ("GET", one, None),
        ("PATCH", one, {"name": "x"}),
        ("DELETE", one, None),
        ("POST", f"{one}/rotate", {}),
    ):
        assert (await ask(method, path, said)).status == 404, method
