"""Who may use, manage and see the models and prompts of a registry."""

from __future__ import annotations

import re

from jobs_over_http import ended
from registry_play import MOOD, PRODUCTION, alias, made
from sdks import openai_at


async def test_a_key_for_a_name_may_use_all_its_versions_and_no_other_name(gate, ask):
    await made(ask, "builtin:sentiment", "builtin:sentiment")
    await made(ask, "builtin:sentiment", name="moody")
    await ask("PUT", PRODUCTION, alias(1))
    ledger = gate.home.ledger
    whole = (await ledger.create_key("whole", ("mood",))).secret
    narrow = (await ledger.create_key("narrow", ("mood@production",))).secret
    allowed = {"mood", "mood:1", "mood:2", "mood@production"}
    for key, names in ((whole, allowed), (narrow, {"mood@production"})):
        for name in (*allowed, "moody", "moody:1"):
            said = await ask("POST", "/v1/predict", {"model": name, "input": "fine"}, key)
            assert said.status == (200 if name in names else 404), (name, said.body)
        listed = (await ask("GET", "/v1/models", key=key)).json["data"]
        # Single versions are too many to be listed; the name and its aliases are.
        assert {each["id"] for each in listed} == names & {"mood", "mood@production"}
    said = (await ask("GET", "/v1/models/mood", key=whole)).json
    assert said["version"] == "mood:1" and said["kind"] == "model" and "versions" not in said
    assert (await ask("GET", "/v1/models/moody", key=whole)).status == 404
    async with openai_at(gate.url, whole) as client:
        assert (await client.models.retrieve("mood@production")).owned_by == "registry"


MANAGING = [
    ("POST", "/v1/models"),
    ("GET", "/v1/registry"),
    ("DELETE", "/v1/models/mood"),
    ("GET", "/v1/models/mood/events"),
    ("POST", "/v1/models/mood/versions"),
    ("GET", "/v1/models/mood/versions"),
    ("GET", "/v1/models/mood/versions/1"),
    ("DELETE", "/v1/models/mood/versions/1"),
    ("POST", "/v1/models/mood/versions/1/render"),
    ("GET", "/v1/models/mood/compare"),
    ("PUT", PRODUCTION),
    ("POST", PRODUCTION + "/rollback"),
    ("DELETE", PRODUCTION),
]


async def test_managing_is_an_admins_business(gate, ask):
    key = (await gate.home.ledger.create_key("plain")).secret
    for method, path in MANAGING:
        said = await ask(method, path, {} if method in ("POST", "PUT") else None, key)
        assert (said.status, said.json["error"]["code"]) == (403, "permission_denied"), path


async def test_a_prompt_of_a_team_is_not_there_for_others_whichever_way_they_name_it(gate, ask):
    people = gate.home.ledger.people
    keys = {}
    for team in ("red", "blue"):
        await people.create_team(team, team)
        keys[team] = (await gate.home.ledger.create_key(team, team_id=team)).secret
    keys["none"] = (await gate.home.ledger.create_key("none")).secret
    new = {"name": "greet", "kind": "prompt", "team_id": "red"}
    assert (await ask("POST", "/v1/models", new)).json["team_id"] == "red"
    await ask("POST", "/v1/models/greet/versions", {"template": "the reds say hello"})
    await ask("PUT", "/v1/models/greet/aliases/production", alias(1))
    for path in ("/v1/chat/completions", "/v1/explain"):
        for name in ("greet", "greet@production", "greet:1"):
            body = {"model": "taken", "messages": [], "prompt_id": name}
            for key in (keys["red"], None):  # its team, and an admin
                said = await ask("POST", path, body, key)
                assert said.status == 200 and b"refused" not in said.body, said.body
            nobody = "x" + name[1:]
            for key in (keys["blue"], keys["none"]):
                foreign = await ask("POST", path, body, key)
                unknown = await ask("POST", path, {**body, "prompt_id": nobody}, key)
                assert unhidden(foreign, name) == unhidden(unknown, nobody)
                assert b"no prompt" in foreign.body and b"reds" not in foreign.body
                assert foreign.status == (404 if "chat" in path else 200)
    args = {"model": "taken", "messages": [], "prompt_id": "greet"}
    accepted = await ask(
        "POST", "/v1/jobs", {"kind": "chat.completion", "args": args}, keys["blue"]
    )
    assert (await ended(ask, accepted.json["id"]))["error"]["code"] == "not_found"
    mine = [each["id"] for each in (await ask("GET", "/v1/registry?team=red")).json["data"]]
    assert mine == ["greet"]
    assert (await ask("GET", "/v1/registry?team=blue")).json["data"] == []


def unhidden(answer, name: str) -> tuple[int, bytes]:
    """What an answer tells, without the request's id and the name that was asked."""
    return answer.status, re.sub(rb"req_[0-9a-f]+", b"", answer.body).replace(
        b"`%b`" % name.encode(), b"NAME"
    )


async def test_a_prompt_is_given_to_a_team_while_it_is_in_use(gate, ask):
    await gate.home.ledger.people.create_team("red", "Red")
    key = (await gate.home.ledger.create_key("plain")).secret
    await ask("POST", "/v1/models", {"name": "greet", "kind": "prompt"})
    await ask("POST", "/v1/models/greet/versions", {"template": "hello"})
    body = {"model": "taken", "messages": [], "prompt_id": "greet"}
    seen = []
    for team in ("red", None):
        seen.append((await ask("POST", "/v1/chat/completions", body, key)).status)
        said = await ask("PATCH", "/v1/models/greet", {"team_id": team})
        assert (said.status, said.json["team_id"]) == (200, team or "")
        seen.append((await ask("POST", "/v1/chat/completions", body, key)).status)
    assert seen == [200, 404, 404, 200]
    assert (await ask("PATCH", "/v1/models/greet", {"team_id": "red"}, key)).status == 403
    for wrong in ({}, {"team_id": "nobody"}, {"team_id": 3}, {"team": "red"}):
        assert (await ask("PATCH", "/v1/models/greet", wrong)).status == 400, wrong
    assert (await ask("PATCH", "/v1/models/nothing", {"team_id": "red"})).status == 404
    said = await ask("POST", "/v1/models", {**MOOD, "team_id": "red"})
    assert (said.status, said.json["error"]["param"]) == (400, "team_id")
