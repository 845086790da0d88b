"""What belongs to somebody else is not there: the same answer, to the byte, as for what never was."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from api import api
from gatemill.core.errors import PermissionDenied
from gatemill.edge import app as application
from gatemill.edge.shown import Shown
from gatemill.jobs.context import Context
from gatemill.ledger.queries import Query
from house_for_tests import opened

PLACES = re.compile(r"\{(\w+)(?::rest)?\}")
REQUEST = re.compile(rb"req_[0-9a-f]+")
CHAT_JOB = {
    "kind": "chat.completion",
    "args": {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
}
# What the owner sends besides, where an empty body is refused before anybody looks at the id.
BODIES = {
    "dead_letter_replay": {},
    "vector_stores_update": {"name": "other"},
    "vector_store_files_create": {"file_id": "file-none"},
    "vector_store_files_update": {"attributes": {}},
    "vector_store_batches_create": {"file_ids": ["file-none"]},
    "vector_store_documents_create": {"documents": [{"text": "x"}]},
    "vector_store_search": {"query": "x"},
    "webhooks_update": {"description": "x"},
    "webhooks_rotate": {},
}
UNKNOWN = {
    "job_id": "job_0000000000000000000000000000",
    "task_id": "job_0000000000000000000000000000",
    "response_id": "resp_0000000000000000000000000000",
    "file_id": "file-00000000000000000000000000000000",
    "batch_id": "batch_0000000000000000000000000000",
    "store_id": "vs_00000000000000000000000000000000",
    "webhook_id": "wh_00000000000000000000000000000000",
    "delivery_id": "job_0000000000000000000000000000",
    "request_id": "req_0000000000000000000000000000",
    "model": "no-such-model",
}


def routes():
    """Method, path, name and places of every route with an id that is not for admins alone.

    An experiment is nobody's own: who may use its model may ask for an arm.
    """
    built = application.build(Shown(healthy=lambda: True, open_metrics=True), with_docs=True)
    for path, _, about in built.told:
        needed = built.accesses[about["methods"][0], path]
        places = PLACES.findall(path)
        if (
            about["name"] != "experiments_assignment"
            and places
            and not {"admin", "admin:read"} >= set(needed.scopes)
        ):
            yield about["methods"][0], path, about["name"], places


async def owned(ask, ledger, key):
    """Ids of things of this key, by the name of their place."""
    store = await ask.good("POST", "/v1/vector_stores", {"name": "mine"}, key)
    answer = await ask(
        "POST", "/v1/responses", {"model": "echo", "input": "x", "background": True}, key
    )
    form = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
    form += b'content-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    form += b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":'
    form += b'{"model":"echo","messages":[]}}\r\n--b--\r\n'
    sent = {"authorization": f"Bearer {key}", "content-type": "multipart/form-data; boundary=b"}
    uploaded = await ask._client.post("/v1/files", content=form, headers=sent)
    assert uploaded.status_code == 200, uploaded.text
    batch = {
        "input_file_id": uploaded.json()["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    job = (await ask("POST", "/v1/jobs", CHAT_JOB, key)).json["id"]
    chat = await ask.chat(key=key)
    dead = (await ask("POST", "/v1/jobs", CHAT_JOB, key)).json["id"]
    died = Query("died", "UPDATE jobs SET state = 'dead' WHERE id = :id")
    await ledger._write(lambda db: db.run(died, {"id": dead}))
    url = {"url": "https://hook.example.com/x", "events": ["*"]}
    return {
        "job_id": job,
        "dead": dead,
        "task_id": job,
        "response_id": answer.json["id"],
        "file_id": uploaded.json()["id"],
        "batch_id": (await ask.good("POST", "/v1/batches", batch, key))["id"],
        "store_id": store["id"],
        "webhook_id": (await ask.good("POST", "/v1/webhooks", url, key))["id"],
        "delivery_id": job,
        "request_id": chat.headers["x-request-id"],
        "model": "secret-model",
    }


def filled(path, ids, name):
    ids = ids | (
        {"job_id": ids["dead"]} if name.startswith("dead_letter") and "dead" in ids else {}
    )
    return PLACES.sub(lambda place: ids[place[1]], path)


@pytest.mark.parametrize("scopes", [("inference", "jobs", "knowledge", "usage")])
async def test_a_foreign_id_is_answered_as_one_that_never_was(tmp_path, scopes):
    config = (
        '[models.secret-model]\ntargets = ["echo/echo"]\n[models.echo]\ntargets = ["echo/echo"]'
    )
    async with opened(tmp_path, config) as home, api(home) as ask:
        ledger = home.home.ledger
        mine = (await ledger.create_key("mine", scopes=scopes)).secret
        other = (await ledger.create_key("other", ("echo",), scopes=scopes)).secret
        ids = await owned(ask, ledger, mine)
        seen, wrong = 0, []
        for method, path, name, _ in routes():
            said = BODIES.get(name, {}) if method in ("POST", "PATCH") else None
            foreign = await ask(method, filled(path, ids, name), said, other)
            unknown = await ask(method, filled(path, UNKNOWN, name), said, other)
            same = REQUEST.sub(b"", foreign.body) == REQUEST.sub(b"", unknown.body)
            if not (same and foreign.status == unknown.status == 404):
                wrong.append((name, foreign, unknown))
            seen += 1
        assert wrong == []
        assert seen >= 40
        # The ids are right: their owner sees what they name, and nobody has changed anything.
        for method, path, name, places in routes():
            # The events of a job that waits do not end.
            if method == "GET" and "delivery_id" not in places and name != "jobs_events":
                own = await ask(method, filled(path, ids, name), None, mine)
                known = name in ("vector_store_file", "vector_store_file_content", "batch_result")
                known = known or name.startswith("vector_store_batch")
                assert own.status == 200 or known, (name, own)


@pytest.mark.parametrize("kind", ["documents.ingest", "documents.reembed"])
async def test_a_job_for_a_foreign_store_is_refused_when_it_is_handed_in(tmp_path, kind):
    async with opened(tmp_path) as home, api(home) as ask:
        ledger = home.home.ledger
        mine = (await ledger.create_key("mine")).secret
        other = (await ledger.create_key("other")).secret
        store = (await ask.good("POST", "/v1/vector_stores", {"name": "mine"}, mine))["id"]
        args = {"store": store, "documents": [{"text": "x"}]}
        if kind == "documents.reembed":
            args = {"store": store, "embedding_model": "builtin/hashing-384"}
        refused = await ask("POST", "/v1/jobs", {"kind": kind, "args": args}, other)
        assert (refused.status, refused.json["error"]["param"]) == (404, "args.store")
        assert (await ask("GET", "/v1/jobs", None, other)).json["data"] == []
        assert (await ask("POST", "/v1/jobs", {"kind": kind, "args": args}, mine)).status in (
            200,
            202,
        )
        narrow = (await ledger.create_key("narrow", scopes=("jobs",))).secret
        assert (await ask("POST", "/v1/jobs", {"kind": kind, "args": args}, narrow)).status == 403


async def test_a_job_whose_key_has_lost_the_scope_meanwhile_does_not_run(tmp_path):
    async with opened(tmp_path) as home, api(home) as ask:
        ledger, services = home.home.ledger, home.home.jobs.services
        made = await ledger.create_key("worker")
        job = (await ask("POST", "/v1/jobs", CHAT_JOB, made.secret)).json["id"]
        full = await ledger.jobs.get(job, None)
        context = Context(SimpleNamespace(job=full.job), services)
        assert context.key.id == made.key.id
        kept = await ask("PATCH", f"/api/v1/keys/{made.key.id}", {"scopes": ["inference"]})
        assert kept.json["scopes"] == ["inference"]
        with pytest.raises(PermissionDenied, match="scope jobs"):
            _ = context.key
        assert (await ask("POST", "/v1/jobs", CHAT_JOB, made.secret)).status == 403
        assert (await ask.chat(key=made.secret)).status == 200
        later = {"Prefer": "respond-async"}
        assert (
            await ask("POST", "/v1/chat/completions", CHAT_JOB["args"], made.secret, **later)
        ).status == 403
