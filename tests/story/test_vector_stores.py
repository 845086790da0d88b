"""Vector stores through OpenAI's own client: made, filled, listed, changed, emptied, deleted."""

from __future__ import annotations

import asyncio
import json
import urllib.request

import openai
import pytest

from house_for_tests import opened
from sdks import openai_at

CONFIG = """
[knowledge]
inline_bytes = 2000
document_chunks_max = 50
[jobs]
poll_s = 0.05
"""
HASH = "builtin/hash-512"
PDF = b"%PDF-1.4 and then nothing of the sort" + bytes(range(256)) * 20
LONG = "\n\n".join(f"Paragraph {number}: the mill grinds wheat." * 6 for number in range(60))


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG, works=True) as found:
        yield found


@pytest.fixture
async def client(gate):
    async with openai_at(gate.url, gate.key, max_retries=0) as found:
        yield found


@pytest.fixture
async def stranger(gate):
    key = await gate.home.ledger.create_key("stranger")
    async with openai_at(gate.url, key.secret, max_retries=0) as found:
        yield found


async def uploaded(client, name, data):
    return await client.files.create(file=(name, data), purpose="assistants")


def strict(found):
    """It has the fields and types that the client's own model of it declares."""
    type(found).model_validate(found.model_dump(), strict=True)
    return found


async def test_a_store_is_made_filled_and_emptied(client, stranger):
    stores = client.vector_stores
    store = strict(
        await stores.create(
            name="manuals",
            description="All of them",
            metadata={"team": "mill"},
            expires_after={"anchor": "last_active_at", "days": 3},
            extra_body={"embedding_model": HASH},
        )
    )
    assert (store.name, store.status, store.usage_bytes) == ("manuals", "completed", 0)
    assert store.expires_at == store.last_active_at + 3 * 86_400
    small = await uploaded(client, "small.md", b"# Wheat\n\nWheat is ground at noon.\n")
    large = await uploaded(client, "large.txt", LONG.encode())
    broken = await uploaded(client, "broken.pdf", PDF)
    junk = await uploaded(client, "junk.bin", bytes(range(32)) * 10)
    empty = await uploaded(client, "empty.txt", b"  \n ")

    added = strict(
        await stores.files.create(store.id, file_id=small.id, attributes={"year": 2024.0})
    )
    assert (added.status, added.id, added.attributes) == ("completed", small.id, {"year": 2024.0})
    polled = strict(
        await stores.files.create_and_poll(large.id, vector_store_id=store.id, poll_interval_ms=50)
    )
    assert (polled.status, polled.last_error) == ("completed", None)
    batch = strict(
        await stores.file_batches.create_and_poll(
            store.id, file_ids=[broken.id, junk.id, empty.id], poll_interval_ms=50
        )
    )
    assert (batch.status, batch.file_counts.failed) == ("failed", 3)
    in_batch = await stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    errors = {file.id: file.last_error.code for file in in_batch.data}
    assert errors == {
        broken.id: "invalid_file",
        junk.id: "unsupported_file",
        empty.id: "invalid_file",
    }
    failed = [file.id async for file in stores.files.list(store.id, filter="failed", limit=2)]
    assert failed == [empty.id, junk.id, broken.id]
    oldest = await stores.files.list(store.id, order="asc", limit=1)
    assert ([file.id for file in oldest.data], oldest.has_more) == ([small.id], True)

    store = strict(await stores.retrieve(store.id))
    assert (store.file_counts.completed, store.file_counts.failed) == (2, 3)
    assert store.usage_bytes > len(LONG)
    texts = [
        part.text async for part in await stores.files.content(large.id, vector_store_id=store.id)
    ]
    assert texts == [LONG]
    changed = strict(
        await stores.files.update(small.id, vector_store_id=store.id, attributes={"year": 2026.0})
    )
    assert changed.attributes == {"year": 2026.0}
    renamed = await stores.update(store.id, name="books")
    assert (renamed.name, renamed.metadata) == ("books", {"team": "mill"})
    await client.files.delete(small.id)
    with pytest.raises(openai.NotFoundError):
        await stores.files.retrieve(small.id, vector_store_id=store.id)
    assert (await stores.files.delete(large.id, vector_store_id=store.id)).deleted
    assert (await stores.retrieve(store.id)).file_counts.completed == 0

    for attempt in (
        stranger.vector_stores.retrieve(store.id),
        stranger.vector_stores.files.list(store.id),
        stranger.vector_stores.files.create(store.id, file_id=large.id),
        stranger.vector_stores.delete(store.id),
        stores.files.create(store.id, file_id="file-none"),
    ):
        with pytest.raises(openai.NotFoundError):
            await attempt
    assert (await stranger.vector_stores.list()).data == []
    assert [one.id async for one in stores.list()] == [store.id]
    assert (await stores.delete(store.id)).deleted
    assert (await stores.list()).data == []


def post(gate, path, body):
    request = urllib.request.Request(
        f"{gate.url}{path}",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {gate.key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def job_result(client, job_id):
    while True:
        job = await client.get(f"/jobs/{job_id}", cast_to=object)
        if job["state"] in ("succeeded", "dead", "cancelled"):
            return job
        await asyncio.sleep(0.05)


async def test_texts_come_in_at_once_or_by_a_job_and_get_other_vectors(gate, client):
    store = await client.vector_stores.create(name="texts")
    path = f"/v1/vector_stores/{store.id}/documents"

    def send(**body):
        return asyncio.to_thread(post, gate, path, body)

    texts = [{"id": "a", "text": "Oats are for horses."}, {"text": "Rye.", "title": "On rye"}]
    status, said = await send(documents=texts)
    assert (status, said["added"], said["ids"][0]) == (200, 2, "a")
    listed = await client.vector_stores.files.list(store.id, order="asc")
    assert [(file.id, file.status) for file in listed.data] == [
        (one, "completed") for one in said["ids"]
    ]
    status, said = await send(documents=[{"id": "a", "text": LONG}])
    assert (status, said["ids"]) == (202, ["a"])
    job = await job_result(client, said["job_id"])
    assert (job["state"], job["result"]["failed"]) == ("succeeded", 0), job
    chunks = job["result"]["data"][0]["chunks"]
    assert chunks > 5
    assert (await client.vector_stores.retrieve(store.id)).model_extra["chunks"] == chunks + 1

    started = await client.post(
        "/jobs",
        body={"kind": "documents.reembed", "args": {"store": "texts", "embedding_model": HASH}},
        cast_to=object,
    )
    job = await job_result(client, started["id"])
    assert (job["state"], job["result"]["chunks"]) == ("succeeded", chunks + 1), job
    found = (await client.vector_stores.retrieve(store.id)).model_extra
    assert (found["mode"], found["embedding_model"], found["dimensions"]) == ("hybrid", HASH, 512)
    sizes = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}
    static = {"type": "static", "static": sizes}
    status, said = await send(
        documents=[{"id": "many", "text": LONG * 4}], chunking_strategy=static
    )
    job = await job_result(client, said["job_id"])
    problem = job["result"]["data"][0]["error"]
    assert problem["code"] == "invalid_file"
    assert "document_chunks_max" in problem["message"]
    for body, field in (
        ({"documents": []}, "documents"),
        ({"documents": [{"text": ""}]}, "documents"),
        ({"documents": [{"text": "x", "id": "a/b"}]}, "documents"),
        ({"documents": [{"text": "x", "id": "a"}] * 2}, "documents"),
        ({"documents": [{"text": "x", "attributes": {"a": [1]}}]}, "documents"),
        ({"documents": texts, "chunking_strategy": {"type": "static"}}, "chunking_strategy"),
        ({"texts": texts}, "texts"),
    ):
        status, said = await send(**body)
        assert (status, field in said["error"]["param"]) == (400, True), (body, said)
    status, said = await send(documents=[{"text": "   "}])
    assert (status, said["error"]["param"]) == (400, "documents")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"mode": "hybrid"}, "embedding_model"),
        ({"embedding_model": "nobody/knows"}, "model"),
        ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after"),
        ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}}, "max_chunk_size_tokens"),
        ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 101}}}, "chunk_overlap_tokens"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"file_ids": ["file-none"]}, "file"),
    ],
)  # fmt: skip
async def test_a_store_that_cannot_be_is_refused_with_the_field(client, wrong, field):
    with pytest.raises(openai.APIStatusError) as refusal:
        await client.vector_stores.create(name="x", extra_body=wrong)
    assert refusal.value.status_code in (400, 404)
    assert field in refusal.value.body["param"]
    assert (await client.vector_stores.list()).data == []


async def test_files_are_embedded_into_an_output_file(client):
    files = [
        await uploaded(client, "long.txt", LONG.encode()),
        await uploaded(client, "short.md", b"# Oats"),
    ]
    args = {"model": HASH, "file_ids": [one.id for one in files], "output": "file"}
    body = {"kind": "embeddings.documents", "args": args}
    started = await client.post("/jobs", body=body, cast_to=object)
    job = await job_result(client, started["id"])
    assert (job["state"], job["result"]["failed"]) == ("succeeded", 0), job
    content = await client.files.content(job["result"]["output_file_id"])
    rows = [json.loads(row) for row in content.text.splitlines()]
    assert len(rows) == job["result"]["rows"] > 5
    assert [row["index"] for row in rows] == list(range(len(rows)))
    assert {len(row["embedding"]) for row in rows} == {512}
    assert (rows[-1]["file_id"], rows[-1]["start"], rows[-1]["end"]) == (files[1].id, 0, 6)
    assert LONG[rows[1]["start"] : rows[1]["end"]].startswith("Paragraph")
    junk = await uploaded(client, "junk.bin", bytes(range(32)) * 9)
    args = {"model": HASH, "file_ids": [junk.id]}
    started = await client.post("/jobs", body={**body, "args": args}, cast_to=object)
    job = await job_result(client, started["id"])
    assert (job["state"], job["error"]["code"]) == ("dead", "unsupported_file")
    with pytest.raises(openai.UnprocessableEntityError, match="inputs"):
        await client.post("/jobs", body={**body, "args": {"model": HASH}}, cast_to=object)


async def test_what_a_store_cannot_be_made_of_is_named(client):
    stores = client.vector_stores
    for model, refusal, words in (
        ("builtin/sentiment", openai.BadRequestError, "makes no vectors"),
        ("nobody", openai.NotFoundError, "nobody"),
    ):
        with pytest.raises(refusal, match=words) as refused:
            await stores.create(name="mill", extra_body={"embedding_model": model})
        assert refused.value.param == "embedding_model"
    with pytest.raises(openai.NotFoundError, match="file-none") as refused:
        await stores.create(name="mill", file_ids=["file-none"])
    assert refused.value.param == "file_ids"
    assert [store async for store in stores.list()] == []
