"""What a guard masks before a model sees it is not kept either: no file of the data folder holds it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from api import api
from house_for_tests import opened
from jobs_over_http import ended

CARD = "4111 1111 1111 1111"
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
TEXT = f"Charge {CARD} once more."
TURN = {"role": "user", "content": TEXT}
CHAT = {"model": "echo", "messages": [TURN]}
CONFIG = """
[providers.away]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
[models.lost]
targets = ["away/lost"]
[retries]
attempts_max = 1
[jobs]
attempts_max = 1
[knowledge]
inline_bytes = 1
"""
DOCUMENTS = [{"id": "a", "text": TEXT}]
PAIR = {"id": "a", "prompt": TEXT, "a": TEXT, "b": "Yes."}
JOBS = {
    "chat.completion": CHAT,
    "inference": {"operation": "responses", "body": {"model": "echo", "input": TEXT}},
    "batch.predict": {"model": "echo", "items": [TEXT, {"messages": [TURN]}]},
    "embeddings.documents": {"model": "builtin/hash-512", "inputs": [TEXT, "x"]},
    "documents.ask": {"model": "echo", "instruction": TEXT, "documents": DOCUMENTS},
    "documents.report": {"model": "echo", "instruction": TEXT, "documents": DOCUMENTS},
    "judge": {"judge": {"model": "echo"}, "pairs": [PAIR]},
}
MASKS = {"input": [{"guard": "pii", "mode": "mask"}]}
RESTORES = {"input": [{"guard": "pii", "mode": "restore"}]}


def holding(folder: Path) -> list[str]:
    """Files with the card's number in them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    return [path.name for path in files if CARD.encode() in path.read_bytes()]


async def key_with(ask, guards) -> str:
    return (await ask.good("POST", "/api/v1/keys", {"name": "k", "guards": guards}))["secret"]


async def submitted(ask, key: str, kind: str, args) -> dict:
    """The job, when it has ended."""
    said = await ask("POST", "/v1/jobs", {"kind": kind, "args": args}, key)
    assert said.status == 202, (kind, said.body)
    return await ended(ask, said.json["id"])


async def args_of(gate, job) -> bytes:
    """The arguments of a job, as they are kept."""
    return bytes((await gate.home.ledger.jobs.get(job["id"], None)).args)


async def test_what_is_masked_for_models_is_in_no_file_after_any_kind_of_job(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        key = await key_with(ask, MASKS)
        for kind, args in JOBS.items():
            job = await submitted(ask, key, kind, args)
            assert b"[CARD]" in await args_of(gate, job), kind
            assert job["state"] == "succeeded" or kind == "judge", job
        ways = (
            ("/v1/chat/completions", CHAT, {"Prefer": "respond-async"}),
            ("/v1/messages", {**CHAT, "max_tokens": 9}, {"Prefer": "respond-async"}),
            ("/v1/responses", {"model": "echo", "input": TEXT, "background": True}, {}),
        )
        for path, body, headers in ways:
            said = await ask("POST", path, body, key, **headers)
            assert said.status in (200, 202), said.body
        for job in (await ask("GET", "/v1/jobs?limit=100")).json["data"]:
            assert (await ended(ask, job["id"]))["state"] == "succeeded" or job["kind"] == "judge"
        assert holding(tmp_path / "data") == []
    assert holding(tmp_path / "data") == []


async def test_a_dead_letter_and_its_replay_hold_what_is_left_too(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        key = await key_with(ask, MASKS)
        dead = await submitted(ask, key, "chat.completion", {**CHAT, "model": "lost"})
        assert dead["state"] == "dead"
        path = f"/v1/dead_letters/{dead['id']}"
        assert "[CARD]" in str((await ask("GET", path, None, key)).json["args"])
        replayed = await ask("POST", f"{path}/replay", {"args": CHAT}, key)
        assert replayed.status in (200, 202), replayed.body
        again = await ended(ask, dead["id"])
        assert again["state"] == "succeeded"
        assert b"[CARD]" in await args_of(gate, again)
    assert holding(tmp_path / "data") == []


async def test_documents_on_their_way_into_a_store_are_kept_as_they_are_stored(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        key = await key_with(ask, MASKS)
        store = await ask.good("POST", "/v1/vector_stores", {"name": "notes"}, key)
        path = f"/v1/vector_stores/{store['id']}"
        said = await ask("POST", f"{path}/documents", {"documents": [{"text": TEXT}]}, key)
        assert said.status == 202, said.body
        assert (await ended(ask, said.json["job_id"]))["state"] == "succeeded"
        found = await ask("POST", f"{path}/search", {"query": "charge once more"}, key)
        assert "[CARD]" in found.json["data"][0]["content"][0]["text"]
    assert holding(tmp_path / "data") == []


async def test_what_is_to_be_put_back_is_kept_as_it_came_and_comes_back(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        key = await key_with(ask, RESTORES)
        job = await submitted(ask, key, "chat.completion", CHAT)
        assert msgspec.json.decode(await args_of(gate, job)) == CHAT
        assert job["result"]["choices"][0]["message"]["content"] == TEXT
    assert holding(tmp_path / "data") == ["gatemill.db"]


async def test_a_request_without_findings_is_kept_byte_for_byte(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        key = await key_with(ask, MASKS)
        args = b'{ "model":"echo","messages":[{"role":"user","content":"Hi"}],  "seed":1.50 }'
        sent = b'{"kind":"chat.completion","args":%b}' % args
        said = await ask("POST", "/v1/jobs", sent, key)
        assert await args_of(gate, await ended(ask, said.json["id"])) == args


async def test_each_guard_says_for_itself_what_is_kept(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        masks = {"guard": "secrets", "mode": "mask"}
        key = await key_with(ask, {"input": [*RESTORES["input"], masks]})
        turn = {"role": "user", "content": f"{TOKEN} {CARD}"}
        job = await submitted(ask, key, "chat.completion", {"model": "echo", "messages": [turn]})
        assert CARD.encode() in await args_of(gate, job)
        assert CARD in str(job["result"])
        assert TOKEN.encode() not in await args_of(gate, job)
        assert TOKEN not in str(job["result"])


async def test_a_kind_that_does_not_say_so_keeps_its_arguments_as_they_came(tmp_path: Path):
    async with opened(tmp_path, CONFIG, works=True) as gate, api(gate) as ask:
        made = {"name": "cards", "scopes": ["admin"], "guards": MASKS}
        key = (await ask.good("POST", "/api/v1/keys", made))["secret"]
        await ask.good("POST", "/v1/models", {"name": "mood", "task": "classify"}, key)
        examples = [{"text": TEXT, "label": label} for label in ("a", "a", "b", "b")]
        job = await submitted(ask, key, "models.train_head", {"name": "mood", "examples": examples})
        assert CARD.encode() in await args_of(gate, job)
