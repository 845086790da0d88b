"""Three processes on one database give everybody the same arm, and hear of changes within moments."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import ExitStack

import pytest

import databases
from running import Running, serve

USERS = [f"user-{number}" for number in range(24)]
PATH = "/v1/experiments"
# A process looks once a second; the machine may be busy.
FOLLOWS_S = 60.0
CONFIG = '[models.a]\ntargets = ["echo/echo"]\n[models.b]\ntargets = ["echo/echo"]\n'


def ask(server: Running, key: str, method: str, path: str, said: object = None):
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = None if said is None else json.dumps(said).encode()
    asked = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer), answer.headers


def arms(server: Running, key: str) -> list[str | None]:
    """Which arm each user gets of a chat."""
    said = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}
    path = "/v1/chat/completions"
    found = (ask(server, key, "POST", path, {**said, "user": user}) for user in USERS)
    return [headers["x-gatemill-arm"] for _, headers in found]


def until(server: Running, key: str, expected: list[str]) -> None:
    given_up_s = time.monotonic() + FOLLOWS_S
    while (found := arms(server, key)) != expected:
        assert time.monotonic() < given_up_s, found
        time.sleep(0.1)  # another process decides; there is no event to wait for


@pytest.mark.parametrize("kind", databases.KINDS)
def test_three_processes_agree_on_who_gets_what(tmp_path, kind):
    with ExitStack() as stack:
        place = stack.enter_context(databases.empty(kind, tmp_path))
        url = place.url or f"sqlite:///{place.path}"
        shared = {
            "GATEMILL_STORES__DATABASE": url,
            "GATEMILL_SERVER__DATA_DIR": str(tmp_path / "data"),
        }
        count = 3 if kind == "sqlite" else 2
        servers = []
        for number in range(count):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(stack.enter_context(serve(folder, CONFIG, **shared)))
        first, key = servers[0], servers[0].key
        made = {
            "name": "ab",
            "model": "a",
            "salt": "s",
            "arms": [{"name": "one"}, {"name": "two", "model": "b"}],
            "metric": {"name": "thumbs", "kind": "binary"},
        }
        ask(first, key, "POST", PATH, made)
        ask(first, key, "POST", f"{PATH}/ab/start")
        expected = arms(first, key)
        assert set(expected) == {"one", "two"}
        for server in servers[1:]:
            until(server, key, expected)

        # One process answers, another is told how it was.
        said = {"model": "a", "user": USERS[0], "messages": [{"role": "user", "content": "hi"}]}
        _, headers = ask(first, key, "POST", "/v1/chat/completions", said)
        outcome = {"request_id": headers["x-request-id"], "metric": "thumbs", "value": 1}
        told, _ = ask(servers[-1], key, "POST", "/v1/feedback", outcome)
        assert (told["arm"], told["counted"]) == (expected[0], True)

        ask(servers[-1], key, "PATCH", f"{PATH}/ab", {"weights": {"two": 3}})
        after = arms(servers[-1], key)
        moved = [now for was, now in zip(expected, after, strict=True) if was != now]
        assert moved
        assert set(moved) == {"two"}
        for server in servers:
            until(server, key, after)
        ask(first, key, "POST", f"{PATH}/ab/conclude", {"winner": "two"})
        for server in servers:
            until(server, key, ["two"] * len(USERS))
