"""POST /api/v1/data/purge and `gatemill data` against a running house."""

from __future__ import annotations

import asyncio
import io
from asyncio import to_thread

import pytest

import cli_run
from api import api
from gatemill.cli import data
from gatemill.cli.failure import Failure
from house_for_tests import opened
from jobs_over_http import ended

PURGE = "/api/v1/data/purge"
WORD = "quetzalcoatlus"
CONFIG = """
[recordings]
share = 1.0
[cache]
ttl_s = 600
[models.echo]
targets = ["echo/echo"]
"""


@pytest.fixture
async def house(tmp_path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        yield gate, ask


def on_disk(folder) -> bytes:
    return b"".join(
        file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "log.jsonl"
    )


async def everything(ask, key: str, word: str) -> None:
    """The word goes through everything that keeps something for a while."""
    said = await ask.chat(word, key=key)
    assert said.status == 200
    turns = [{"role": "user", "content": f"{word} in a job"}]
    args = {"model": "echo", "messages": turns}
    job = await ask("POST", "/v1/jobs", {"kind": "chat.completion", "args": args}, key)
    assert (await ended(ask, job.json["id"], key))["state"] == "succeeded"
    once = await ask("POST", "/v1/chat/completions", args, key, idempotency_key="once")
    assert once.status == 200
    store = await ask.good("POST", "/v1/vector_stores", {"name": word}, key)
    text = {"documents": [{"id": "d1", "text": f"The {word} could fly. " * 40}]}
    path = f"/v1/vector_stores/{store['id']}/documents"
    filled = await ask("POST", path, text, key)
    assert filled.status in (200, 202), filled.body
    found = {"data": []}
    async with asyncio.timeout(60):
        while not found["data"]:
            query = {"query": word}
            found = await ask.good("POST", f"/v1/vector_stores/{store['id']}/search", query, key)


async def test_a_purged_word_is_in_no_file(house, tmp_path):
    gate, ask = house
    made = await ask.good("POST", "/api/v1/keys", {"name": "app"})
    other = await ask.good("POST", "/api/v1/keys", {"name": "other"})
    await everything(ask, made["secret"], WORD)
    await everything(ask, other["secret"], "diplodocus")
    key_id = made["id"]
    promised = await ask.good("POST", PURGE, {"key_id": key_id, "dry_run": True})
    assert WORD.encode() in on_disk(tmp_path)
    tables = {"recordings", "idempotency", "jobs", "vector_stores"}
    assert tables <= promised["rows"].keys()
    gone = await to_thread(
        cli_run.process, "data", "purge", "--of-key", key_id, "--json", "--yes",
        "--url", gate.url, "--key", gate.key, cwd=tmp_path,
    )  # fmt: skip
    assert gone.code == 0, gone.err
    left = on_disk(tmp_path)
    assert WORD.encode() not in left
    assert b"diplodocus" in left
    assert not (await ask.good("POST", PURGE, {"key_id": key_id, "dry_run": True}))["rows"]
    again = await ask.chat(WORD, key=made["secret"])
    assert again.headers.get("x-gatemill-cache") != "hit"
    (entry,) = (await ask.good("GET", "/api/v1/audit?limit=1"))["data"]
    assert (entry["action"], entry["kind"], entry["object_id"]) == ("purge", "key", key_id)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({}, "key_id"),
        ({"key_id": "a", "user_id": "b"}, "key_id"),
        ({"before": "tomorrow"}, "before"),
        ({"before": "2999-01-01"}, "before"),
        ({"user": "a"}, "user"),
    ],
)
async def test_a_purge_without_one_whose_is_refused(house, said, param):
    refused = await house[1]("POST", PURGE, said)
    assert (refused.status, refused.param) == (400, param)


async def test_an_unknown_key_is_404(house):
    assert (await house[1]("POST", PURGE, {"key_id": "nobody"})).status == 404


def test_whoever_is_not_there_to_be_asked_has_not_said_yes(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Failure, match="delete 7 rows for good"):
        data._is_sure(7, asks=True)
    assert data._is_sure(7, asks=False)
    assert data._is_sure(0, asks=True)
