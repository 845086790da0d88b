"""The configuration over HTTP: for an admin key only, with everything that is wrong."""

from __future__ import annotations

import msgspec
import pytest

from cli_run import process
from openapi_examples import fetch
from running import serve

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
RELOAD = "/api/v1/config/reload"
VERSIONS = "/api/v1/config/versions"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("configured"), ECHO) as server:
        yield server


@pytest.fixture(autouse=True)
def _as_it_was(running):
    yield
    (running.data_dir.parent / "gatemill.toml").write_text(ECHO)
    assert _post(running).status == 200


def _post(running, query="", key=None):
    headers = {"authorization": f"Bearer {running.key if key is None else key}"}
    return fetch(running.url + RELOAD + query, headers, b"")


def _write(running, text):
    (running.data_dir.parent / "gatemill.toml").write_text(text)


def test_a_reload_says_what_changed(running):
    _write(running, ECHO + "[limits]\nbody_bytes = 5000\n[server]\nport = 1\nopenapi = false\n")
    said = msgspec.json.decode(_post(running).body)
    assert said["outcome"] == "ok"
    assert said["changes"] == ["limits.body_bytes: 33554432 -> 5000"]
    assert said["needs_restart"] == ["server.openapi: true -> false"]  # the port is a variable's
    assert said["workers"] == 1
    answer = fetch(running.url + "/v1/models", {"authorization": f"Bearer {running.key}"})
    assert answer.status == 200


def test_the_limits_of_the_door_are_the_new_ones(running):
    headers = {"authorization": f"Bearer {running.key}"}
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "%s"}]}' % (b"x" * 400)
    url = running.url + "/v1/chat/completions"
    assert fetch(url, headers, body).status == 200
    _write(running, ECHO + "[limits]\nbody_bytes = 300\nkeep_alive_s = 9\n")
    assert _post(running).status == 200
    assert fetch(url, headers, body).status == 413


def test_a_dry_run_changes_nothing(running):
    _write(running, ECHO + "[limits]\nbody_bytes = 300\n")
    for query in ("?dry_run", "?dry_run=true"):
        said = msgspec.json.decode(_post(running, query).body)
        assert (said["dry_run"], len(said["changes"])) == (True, 1)
    assert msgspec.json.decode(_post(running, "?dry_run=false").body)["dry_run"] is False


def test_mistakes_are_a_problem_with_every_line(running):
    _write(running, "[server]\nprot = 1\nhots = 2\n")
    answer = _post(running)
    assert answer.status == 400
    assert answer.headers.get_content_type() == "application/problem+json"
    first, *lines = msgspec.json.decode(answer.body)["detail"].splitlines()
    assert first.startswith("2 mistakes in the configuration; ")
    assert [line.rpartition("gatemill.toml:")[2][:14] for line in lines] == [
        "2: server.prot",
        "3: server.hots",
    ]


def test_the_versions_are_listed_with_the_one_in_effect(running):
    _write(running, ECHO + "[limits]\nbody_bytes = 4000\n")
    version = msgspec.json.decode(_post(running).body)["version"]
    answer = fetch(running.url + VERSIONS, {"x-api-key": running.key})
    said = msgspec.json.decode(answer.body)
    assert said["version"] == version == said["data"][0]["version"]
    assert said["data"][-1]["number"] < said["data"][0]["number"]


@pytest.mark.parametrize("path", [RELOAD, VERSIONS])
def test_only_an_admin_key_may_ask(running, path, tmp_path):
    data = b"" if path == RELOAD else None
    made = process("keys", "create", "user", "--data-dir", str(running.data_dir), cwd=tmp_path)
    user = {"authorization": f"Bearer {made.out.strip()}"}
    while fetch(running.url + "/v1/models", user).status == 401:
        pass  # another process made the key: the server hears of it within a second
    refused = fetch(running.url + path, user, data)
    assert (refused.status, msgspec.json.decode(refused.body)["code"]) == (403, "permission_denied")
    for headers in ({}, {"authorization": "Bearer gm-wrong"}):
        refused = fetch(running.url + path, headers, data)
        assert (refused.status, msgspec.json.decode(refused.body)["code"]) == (
            401,
            "invalid_api_key",
        )
