import asyncio
import json

import pytest

import openai_contract
from api import api, web
from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger.queries import literal
from peer import ask, peer, plain

FILES = literal("files", "SELECT count(*) AS rows FROM files")
CHUNKS = literal("chunks", "SELECT count(*) AS rows FROM file_chunks")
PATIENCE_S = 60.0
LINES = b'{"custom_id": "a"}\n'
BOUND = "content-type: multipart/form-data; boundary=cut"


class Desk:
    """Asks the routes of files with one key."""

    def __init__(self, client, key):
        self._client = client
        self._key = key

    async def __call__(self, method, path="", **more):
        headers = {"authorization": f"Bearer {self._key}", **more.pop("headers", {})}
        return await self._client.request(method, f"/v1/files{path}", headers=headers, **more)

    async def upload(self, data=LINES, purpose="batch", name="in.jsonl", **fields):
        fields = {name.replace("__", "[") + "]" * ("__" in name): v for name, v in fields.items()}
        if purpose is not None:
            fields["purpose"] = purpose
        files = {} if data is None else {"file": (name, data)}
        return await self("POST", data=fields, files=files or {"nothing": b""})

    async def good(self, *args, **more):
        answer = await self.upload(*args, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def desk(gate):
    async with web(gate.url) as client:
        yield Desk(client, gate.key)


@pytest.fixture
async def other(gate, desk):
    async with api(gate) as asking:
        made = await asking.good("POST", "/api/v1/keys", {"name": "other"})
    return Desk(desk._client, made["secret"])


async def rows(gate):
    reader = gate.home.ledger._job_reader
    return [
        (await reader.run(lambda db, query=query: db.rows(query)))[0]["rows"]
        for query in (FILES, CHUNKS)
    ]


def refusal(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


# --- What a file is -----------------------------------------------------------------------------------


async def test_a_file_comes_back_as_it_was_sent(desk):
    file = await desk.good()
    openai_contract.validate("OpenAIFile", file)
    assert file["id"].startswith("file-")
    assert (file["bytes"], file["filename"], file["purpose"]) == (len(LINES), "in.jsonl", "batch")
    assert file["expires_at"] - file["created_at"] == 30 * 86_400
    assert (await desk("GET", f"/{file['id']}")).json() == file
    content = await desk("GET", f"/{file['id']}/content")
    assert content.content == LINES
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["content-disposition"] == "attachment; filename*=utf-8''in.jsonl"
    assert content.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("size", [0, 1 << 18, 5_000_000])
async def test_a_file_of_any_size_comes_back(desk, size):
    data = (b"0123456789" * (size // 10 + 1))[:size]
    file = await desk.good(data)
    assert file["bytes"] == size
    assert (await desk("GET", f"/{file['id']}/content")).content == data


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\dir\\a.txt", "a.txt"),
        ("line\x85here", "line here"),
        ("ä" * 300, "ä" * 255),
        ("dir/", "upload"),
    ],
)
async def test_a_name_is_one_line_and_no_path(desk, name, kept):
    assert (await desk.good(name=name))["filename"] == kept


async def test_an_expiry_is_what_was_asked_for(desk):
    file = await desk.good(expires_after__anchor="created_at", expires_after__seconds="3600")
    assert file["expires_at"] - file["created_at"] == 3600


async def test_a_deleted_file_is_gone(gate, desk):
    file = await desk.good()
    answer = (await desk("DELETE", f"/{file['id']}")).json()
    openai_contract.validate("DeleteFileResponse", answer)
    assert answer == {"id": file["id"], "object": "file", "deleted": True}
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        answer = await desk(method, f"/{file['id']}{path}")
        assert refusal(answer) == (404, "not_found", "file_id")
    assert await rows(gate) == [0, 0]


async def test_a_file_deleted_before_its_first_byte_is_gone(gate, desk, monkeypatch):
    file = await desk.good()
    files = gate.home.ledger.files
    get = files.get

    async def deleted_since(file_id, owner):
        found = await get(file_id, owner)
        await files.delete(file_id, owner)
        return found

    monkeypatch.setattr(files, "get", deleted_since)
    assert refusal(await desk("GET", f"/{file['id']}/content"))[0] == 404


async def test_a_deletion_that_broke_off_is_finished_by_the_next(gate, desk, monkeypatch):
    file, knowledge = await desk.good(), gate.home.ledger.knowledge
    forget, forgotten = knowledge.forget_file, []

    async def broken(file_id, owner):
        forgotten.append(file_id)
        if len(forgotten) == 1:
            raise LedgerUnavailable("It is away.")
        await forget(file_id, owner)

    monkeypatch.setattr(knowledge, "forget_file", broken)
    assert (await desk("DELETE", f"/{file['id']}")).status_code == 503
    assert (await desk("DELETE", f"/{file['id']}")).status_code == 404
    assert forgotten == [file["id"]] * 2


async def test_a_list_has_pages_in_both_orders(desk):
    empty = (await desk("GET")).json()
    openai_contract.validate("ListFilesResponse", empty)
    assert empty["data"] == []
    ids = [(await desk.good(purpose=p))["id"] for p in ("batch", "vision", "batch")]
    page = (await desk("GET", "?limit=2")).json()
    openai_contract.validate("ListFilesResponse", page)
    assert [file["id"] for file in page["data"]] == [ids[2], ids[1]]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[2], ids[1], True)
    rest = (await desk("GET", f"?after={ids[1]}&limit=2")).json()
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    oldest = (await desk("GET", "?order=asc&purpose=batch")).json()
    assert [file["id"] for file in oldest["data"]] == [ids[0], ids[2]]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up", "purpose=odd", "x=1"])
async def test_an_odd_question_is_refused(desk, query):
    assert (await desk("GET", f"?{query}")).status_code == 400


async def test_another_owners_file_is_not_there(desk, other):
    file = await desk.good()
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        answer = await other(method, f"/{file['id']}{path}")
        assert refusal(answer) == (404, "not_found", "file_id")
    assert (await other("GET")).json()["data"] == []
    assert (await desk("GET", f"/{file['id']}")).status_code == 200


# --- What is refused leaves nothing -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"data": None}, (400, "unsupported_parameter", "nothing")),
        ({"purpose": None}, (400, "missing_required_parameter", "purpose")),
        ({"purpose": "batch_output"}, (400, "invalid_value", "purpose")),
        ({"color": "red"}, (400, "unsupported_parameter", "color")),
        ({"expires_after__seconds": "3600"}, (400, "invalid_value", "expires_after.anchor")),
        ({"expires_after__anchor": "now"}, (400, "invalid_value", "expires_after.anchor")),
        *(
            (
                {"expires_after__anchor": "created_at", "expires_after__seconds": odd},
                (400, "invalid_value", "expires_after.seconds"),
            )
            for odd in ("3599", "2592001", "-1", "x", "", "\uff11" * 4)
        ),
    ],
)
async def test_a_wrong_form_leaves_nothing(gate, desk, sent, said):
    assert refusal(await desk.upload(**sent)) == said
    assert await rows(gate) == [0, 0]


async def test_a_form_without_a_file_leaves_nothing(gate, desk):
    body = b'--cut\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--cut--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=cut"}
    answer = await desk("POST", content=body, headers=headers)
    assert refusal(answer) == (400, "missing_required_parameter", "file")
    assert refusal(await desk("POST", content=body[:-20], headers=headers))[0] == 400
    assert refusal(await desk("POST", json={}))[:2] == (415, "unsupported_encoding")
    assert await rows(gate) == [0, 0]


async def test_without_a_key_nothing_is_read(gate, desk):
    answer = await Desk(desk._client, "wrong").upload()
    assert refusal(answer)[:2] == (401, "invalid_api_key")
    assert await rows(gate) == [0, 0]


async def test_a_caller_who_hangs_up_leaves_nothing(gate):
    head = plain(gate, "/v1/files", "POST", "content-length: 9000000", BOUND)
    part = b'--cut\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
    async with peer(gate) as client:
        client.writer.write(head + part + b"x" * 3_000_000)
        await client.writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            while (await rows(gate))[1] < 8:
                pass
    async with asyncio.timeout(PATIENCE_S):
        while await rows(gate) != [0, 0]:
            pass


# --- Room ----------------------------------------------------------------------------------------------


async def test_a_file_may_be_larger_than_a_body(house, tmp_path):
    gate = await house("[limits]\nbody_bytes = 100000\n[files]\nbytes_max = 1000000\n")
    async with web(gate.url) as client:
        desk = Desk(client, gate.key)
        assert (await desk.good(b"x" * 1_000_000))["bytes"] == 1_000_000
        assert refusal(await desk.upload(b"x" * 1_000_001)) == (413, "request_too_large", "file")
        small = {"model": "echo", "messages": [{"role": "user", "content": "x" * 100_000}]}
        answer = await client.post("/v1/batches", json=small)
        assert refusal(answer)[:2] == (413, "request_too_large")
    # Far beyond, it is the door that says so, before anything is stored.
    head = plain(gate, "/v1/files", "POST", "content-length: 2000000", BOUND)
    assert (await ask(gate, head)).status == 413
    head = plain(gate, "/v1/files", "GET", "content-length: 200000")
    assert (await ask(gate, head)).status == 413
    assert (await rows(gate))[0] == 1


async def test_all_files_together_may_hold_so_much(house):
    gate = await house("[files]\nbytes_max_per_owner = 1000\n")
    async with web(gate.url) as client:
        desk = Desk(client, gate.key)
        await desk.good(b"x" * 600)
        assert refusal(await desk.upload(b"x" * 401)) == (413, "request_too_large", "file")
        assert (await desk.good(b"x" * 400))["bytes"] == 400
        assert json.loads((await desk("GET")).content)["data"][0]["bytes"] == 400
