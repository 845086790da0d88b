"""Documents from the upload to the cited answer and the report, on every kind of database."""

from __future__ import annotations

import pytest

import databases
from api import api
from gatemill.fake_provider import server as fake_provider
from house_for_tests import opened
from jobs_over_http import events_of, until
from sdks import openai_at

CONFIG = """
[stores]
database = "{database}"
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[models.mini]
targets = ["up/mini"]
[knowledge]
embedding_model = "mini"
"""
PAGES = {
    "keys.md": b"# Keys\n\nA key is made by the command `keys create`. It may be revoked.",
    "money.html": b"<h1>Money</h1><p>A budget stops a key when its money is spent.</p>",
}


@pytest.fixture(params=[*databases.KINDS, databases.PGVECTOR])
def database(request, tmp_path):
    with databases.empty(request.param, tmp_path) as place:
        yield place.url or ""


@pytest.fixture
async def gate(tmp_path, database):
    provider = await fake_provider.start("127.0.0.1", 0)
    config = CONFIG.format(url=provider.url, database=database)
    async with opened(tmp_path, config, works=True) as running:
        yield running
    await provider.stop()


async def test_an_upload_becomes_an_answer_and_a_report(gate):
    async with (
        openai_at(gate.url, gate.key) as client,
        api(gate) as ask,
    ):
        files = [
            await client.files.create(file=(name, data), purpose="assistants")
            for name, data in PAGES.items()
        ]
        store = await client.vector_stores.create(name="handbook", file_ids=[f.id for f in files])

        async def is_read() -> bool:
            counts = (await client.vector_stores.retrieve(store.id)).file_counts
            return counts.completed == len(PAGES) and not counts.in_progress

        await until(is_read)

        found = await client.vector_stores.search(store.id, query="what stops a key?")
        assert {one.filename for one in found.data} == set(PAGES)

        asked = {"query": "Which command makes a key?", "store": "handbook", "top_k": 1}
        said = await ask.good("POST", "/v1/rag/query", asked)
        assert (said["mode"], said["degraded"], said["cited"]) == ("hybrid", [], [1])
        (citation,) = said["citations"]
        assert citation["title"] == "keys.md"
        assert "`keys create`" in said["answer"]
        assert citation["text"] in PAGES["keys.md"].decode()
        only = {"type": "eq", "key": "of", "value": "nobody"}
        nothing = await ask.good("POST", "/v1/rag/query", {**asked, "filters": only})
        assert (nothing["model"], nothing["citations"]) == (None, [])
        spread = {**asked, "rerank": {"method": "mmr"}, "top_k": 2, "answer": False}
        assert len((await ask.good("POST", "/v1/rag/query", spread))["citations"]) == 2
        events = events_of(await ask("POST", "/v1/rag/query", {**asked, "stream": True}))
        assert (events[0].name, events[-1].name) == ("citations", "done")

        args = {"model": "builtin/extract", "vector_store_id": "handbook"}
        job = (await ask("POST", "/v1/jobs", {"kind": "documents.report", "args": args})).json
        await ask("GET", f"/v1/jobs/{job['id']}/events")
        done = await ask.good("GET", f"/v1/jobs/{job['id']}")
        assert done["state"] == "succeeded"
        sections = done["result"]["sections"]
        assert [section["title"] for section in sections] == list(PAGES)
        assert "keys create" in done["result"]["report"]
