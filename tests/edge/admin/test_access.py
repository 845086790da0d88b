"""Who may ask what: every control route with no key, a wrong one, a plain one and an admin's."""

from __future__ import annotations

import pytest

from gatemill.describe.control import ROUTES
from openapi_examples import operations

OPERATIONS = {
    name: found for name, found in operations().items() if found[0].startswith("/api/v1/")
}
OPERATIONS.pop("inference")
OWN = {"limits", "usage", "usage_summary", "requests"}  # answer a plain key, about itself
# What an admin gets for made-up ids and an empty body, where that is no 200.
FOR_ADMIN = {
    **dict.fromkeys(("keys_create", "teams_create", "users_create", "data_purge"), 400),
    **dict.fromkeys(("key", "keys_update", "keys_revoke", "keys_rotate", "requests_explain"), 404),
    **dict.fromkeys(("team", "teams_update", "teams_delete"), 404),
    **dict.fromkeys(("user", "users_update", "users_delete"), 404),
}


def _send(ask, name, key):
    path, method, operation = OPERATIONS[name]
    path = path.replace("{", "").replace("}", "")
    said = {} if "requestBody" in operation else None
    return ask(method.upper(), path, said, key)


def test_the_matrix_has_every_control_route():
    assert OPERATIONS.keys() >= ROUTES.keys() - {"explain"}
    assert len(OPERATIONS) == 28


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_route_answers_the_keys_that_it_should(ask, plain, name):
    for key in ("", "gm-wrong", "gm-0000000000-" + "x" * 43):
        refused = await _send(ask, name, key)
        assert (refused.status, refused.json["code"]) == (401, "invalid_api_key")
        assert refused.headers["www-authenticate"].startswith("Bearer")
    answer = await _send(ask, name, plain)
    if name in OWN:
        assert answer.status == 200
    elif name == "requests_explain":
        assert answer.status == 404
    else:
        assert (answer.status, answer.json["code"]) == (403, "permission_denied")
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await _send(ask, name, ask.admin)).status == FOR_ADMIN.get(name, 200)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_answer_has_a_request_id(ask, name):
    for key in ("", ask.admin):
        answer = await _send(ask, name, key)
        assert answer.headers["x-request-id"].startswith("req_")


async def test_a_key_that_is_over_is_refused_like_a_wrong_one(ask, plain):
    await ask("DELETE", f"/api/v1/keys/{plain.split('-')[1]}")
    assert (await ask("GET", "/api/v1/usage", key=plain)).status == 401


@pytest.mark.parametrize("path", ["/api/v1/usage", "/api/v1/usage/summary", "/api/v1/limits"])
async def test_a_plain_key_hears_of_itself_only(ask, plain, path):
    own = plain.split("-")[1]
    admin = ask.admin.split("-")[1]
    assert (await ask("GET", f"{path}?key={own}", key=plain)).status == 200
    refused = await ask("GET", f"{path}?key={admin}", key=plain)
    assert (refused.status, refused.json["code"]) == (403, "permission_denied")
    assert (await ask("GET", f"{path}?key=nothere000", key=plain)).status == 403


async def test_the_requests_of_others_are_not_there(ask, plain):
    theirs = (await ask.chat()).headers["x-request-id"]
    own = (await ask.chat(key=plain)).headers["x-request-id"]
    explained = "/api/v1/requests/{}/explain"
    assert (await ask("GET", explained.format(own), key=plain)).json["request_id"] == own
    hidden = await ask("GET", explained.format(theirs), key=plain)
    unknown = await ask("GET", explained.format("req_0"), key=plain)
    assert hidden.status == unknown.status == 404
    assert hidden.json["detail"] == unknown.json["detail"]
    assert (await ask("GET", explained.format(theirs))).status == 200
    seen = (await ask.good("GET", "/api/v1/requests", key=plain))["data"]
    assert [row["request_id"] for row in seen] == [own]


async def test_the_other_header_carries_the_key_too(ask):
    assert (await ask("GET", "/api/v1/keys", key="", x_api_key=ask.admin)).status == 200


async def test_an_unknown_method_is_405(ask):
    assert (await ask("PUT", "/api/v1/keys")).status == 405
