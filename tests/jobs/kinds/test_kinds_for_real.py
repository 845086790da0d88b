"""Kinds in a running house: its worker, its ledger, its providers, over HTTP."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest

from crews import until
from house_for_tests import Opened, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ECHO = '[providers.echo]\n[models.m]\ntargets = ["echo/echo"]\n[jobs]\npoll_s = 0.05\n'
CHAT = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}
PATIENCE_S = 90.0


class Api:
    """What a caller does."""

    def __init__(self, house: Opened, session: aiohttp.ClientSession) -> None:
        self.house = house
        self._session = session

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._session.request(method, self.house.url + path, json=body) as answer:
            text = await answer.read()
            return answer.status, msgspec.json.decode(text) if text else None

    async def submit(self, kind: str, **args: Any) -> str:
        status, told = await self.call("POST", "/v1/jobs", {"kind": kind, "args": args})
        assert status == 202, told
        return str(told["id"])

    async def ended(self, job_id: str) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                _, told = await self.call("GET", f"/v1/jobs/{job_id}")
                if told["state"] in ("succeeded", "dead", "cancelled", "expired"):
                    return told
                await asyncio.sleep(0.02)

    async def done(self, kind: str, **args: Any) -> Any:
        told = await self.ended(await self.submit(kind, **args))
        assert told["state"] == "succeeded", told
        return told

    async def refused(self, kind: str, **args: Any) -> tuple[int, str, str]:
        status, told = await self.call("POST", "/v1/jobs", {"kind": kind, "args": args})
        return status, told["error"]["code"], told["error"]["param"]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path, ECHO, works=True) as house:
        headers = {"authorization": f"Bearer {house.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Api(house, session)


async def test_a_chat_is_answered_and_costs_what_it_costs(api: Api):
    told = await api.done("chat.completion", **CHAT)
    assert told["result"]["choices"][0]["message"]["content"] == "one two three"
    assert told["attempt"] == 1


async def test_a_stream_is_followed_event_by_event(api: Api):
    told = await api.done("chat.completion", **CHAT, stream=True)
    assert told["result"]["choices"][0]["message"]["content"] == "one two three"
    events = await api.house.home.ledger.jobs.events(told["id"], 0, 100)
    assert [number for number, _ in events] == list(range(1, 8))
    assert events[-1][1] == b"data: [DONE]\n\n"


async def test_any_request_is_a_job(api: Api):
    body = {"model": "m", "input": "hello"}
    told = await api.done("inference", operation="responses", body=body)
    assert told["result"]["status"] == "completed"
    told = await api.done("inference", operation="responses", body={**body, "stream": True})
    assert told["result"]["output"][0]["content"][0]["text"] == "hello"
    messages = {"model": "m", "max_tokens": 9, "messages": CHAT["messages"], "stream": True}
    told = await api.done("inference", operation="messages", body=messages)
    assert told["result"]["content"] == [{"type": "text", "text": "one two three"}]
    asked = {"text": "hello", "model": "m"}
    told = await api.done("inference", operation="inference", body=asked)
    assert told["result"]["result"] == "hello"


async def test_documents_are_embedded_asked_and_reported(api: Api):
    told = await api.done("embeddings.documents", model="m", inputs=["a"] * 300, dimensions=4)
    assert [len(row["embedding"]) for row in told["result"]["data"]] == [4] * 300
    assert told["progress"]["current"] == told["progress"]["total"] == 3
    told = await api.done("batch.predict", model="m", items=["a", {"messages": []}, "b"])
    assert told["result"]["failed"] == 1
    assert told["result"]["data"][1]["error"]["param"] == "messages"
    documents = [{"id": "x", "text": "the sea"}, {"id": "y", "text": "the mill"}]
    told = await api.done("documents.ask", model="m", instruction="Sum up.", documents=documents)
    assert [row["answer"] for row in told["result"]["data"]] == ["the sea", "the mill"]
    told = await api.done("documents.report", model="m", documents=documents)
    assert "the sea" in told["result"]["report"]
    assert (told["priority"], told["queue"]) == ("low", "documents")


async def test_what_does_not_fit_is_refused_with_its_path_and_leaves_no_row(api: Api):
    bad = {**CHAT, "messages": [{"role": "nobody", "content": ""}]}
    assert await api.refused("chat.completion", **bad) == (
        422,
        "invalid_arguments",
        "args.messages.0.role",
    )
    assert await api.refused("inference", operation="chat", body=bad) == (
        422,
        "invalid_arguments",
        "args.body.messages.0.role",
    )
    assert await api.refused("embeddings.documents", model="m", inputs=["a"], batch_size=0) == (
        422,
        "invalid_arguments",
        "args.batch_size",
    )
    assert await api.refused("batch.predict", model="m", items=["a"], template="x") == (
        422,
        "invalid_arguments",
        "args.template",
    )
    assert (await api.refused("chat.completion", **{**CHAT, "model": "n"}))[:2] == (
        404,
        "model_not_found",
    )
    assert (await api.refused("nothing"))[1:] == ("invalid_value", "kind")
    status, listed = await api.call("GET", "/v1/jobs")
    assert (status, listed["data"]) == (200, [])


BUSY = ECHO + "[models.m.limits]\nconcurrency = 2\n"


async def test_a_busy_model_is_asked_as_it_has_room(tmp_path: Path):
    async with opened(tmp_path, BUSY, works=True) as house:
        headers = {"authorization": f"Bearer {house.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            api = Api(house, session)
            told = await api.done("batch.predict", model="m", items=["a"] * 300)
            assert told["result"]["failed"] == 0
            assert len(told["attempts"]) == 1, "the slot was not given back"


async def test_a_worker_that_leaves_at_half_has_paid_for_nothing_twice(tmp_path: Path):
    count = 600
    async with opened(tmp_path, ECHO, works=True) as house:
        headers = {"authorization": f"Bearer {house.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            api = Api(house, session)
            counters = house.home.ledger.counters
            job_id = await api.submit("batch.predict", model="m", items=["a"] * count)
            await until(lambda: counters.rows_recorded >= 100, "some are paid for")
    async with opened(tmp_path, ECHO, works=True) as house:
        async with aiohttp.ClientSession(headers=headers) as session:
            told = await Api(house, session).ended(job_id)
            assert told["state"] == "succeeded", told
            assert [row["index"] for row in told["result"]["data"]] == list(range(count))
            assert len(told["attempts"]) == 2, "the first was given back"
            assert told["attempt"] == 1, "which cost it nothing"
        await house.home.ledger.flushed()
        with closing(sqlite3.connect(tmp_path / "data" / "gatemill.db")) as database:
            ((paid,),) = database.execute("SELECT count(*) FROM usage WHERE job_id = ?", (job_id,))
    assert count <= paid <= count + 16, "those under way when the worker left"
