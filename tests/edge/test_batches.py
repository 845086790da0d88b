import pytest

import openai_contract
from api import web
from batch_play import CHAT, ended, jsonl, line
from gatemill.ledger.queries import literal
from house_for_tests import opened

CONFIG = """
[models.fast]
targets = ["echo/echo"]
"""
ROWS = [literal(table, f"SELECT count(*) AS rows FROM {table}") for table in ("batches", "jobs")]
GOOD = {"endpoint": CHAT, "completion_window": "24h"}


@pytest.fixture(params=[False])
def works(request):
    """Whether jobs run."""
    return request.param


@pytest.fixture
async def gate(tmp_path, works):
    async with opened(tmp_path, CONFIG, works=works) as running:
        yield running


@pytest.fixture
async def upload(gate):
    async with web(gate.url) as client:

        async def send(lines):
            answer = await client.post(
                "/v1/files",
                data={"purpose": "batch"},
                files={"file": ("in.jsonl", jsonl(lines))},
                headers={"authorization": f"Bearer {gate.key}"},
            )
            return answer.json()["id"]

        yield send


async def rows(gate):
    reader = gate.home.ledger._job_reader
    return [(await reader.run(lambda db, q=query: db.rows(q)))[0]["rows"] for query in ROWS]


async def made(ask, upload, lines=(), **more):
    file_id = await upload(lines or [line("a")])
    return await ask.good("POST", "/v1/batches", {**GOOD, "input_file_id": file_id, **more})


def refusal(answer):
    error = answer.json["error"]
    return answer.status, error["code"], error["param"]


# --- Handing in ------------------------------------------------------------------------------------


async def test_a_new_batch_is_told_as_openai_tells_it(gate, ask, upload):
    batch = await made(ask, upload, metadata={"project": "summer"})
    openai_contract.validate("Batch", batch)
    assert (batch["status"], batch["endpoint"]) == ("validating", CHAT)
    assert batch["expires_at"] - batch["created_at"] == 86_400
    assert batch["metadata"] == {"project": "summer"}
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert "output_file_id" not in batch
    assert await ask.good("GET", f"/v1/batches/{batch['id']}") == batch
    assert await rows(gate) == [1, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input_file_id": "file-none"}, (404, "not_found", "input_file_id")),
        ({"input_file_id": None}, (400, "invalid_type", "input_file_id")),
        ({"endpoint": "/v1/images"}, (400, "invalid_value", "endpoint")),
        ({"completion_window": "1h"}, (400, "invalid_value", "completion_window")),
        ({"metadata": {"a": 1}}, (400, "invalid_type", "metadata")),
        ({"metadata": {"a": "x" * 513}}, (400, "invalid_value", "metadata")),
        (
            {"metadata": {str(number): "" for number in range(17)}},
            (400, "invalid_value", "metadata"),
        ),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 60}},
            (400, "invalid_value", "output_expires_after.seconds"),
        ),
        ({"priority": "high"}, (400, "unsupported_parameter", "priority")),
    ],
)
async def test_what_is_refused_leaves_nothing(gate, ask, upload, changes, said):
    wanted = {**GOOD, "input_file_id": await upload([line("a")]), **changes}
    assert refusal(await ask("POST", "/v1/batches", wanted)) == said
    assert await rows(gate) == [0, 0]


async def test_without_a_key_there_is_nothing(ask):
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/x"), ("POST", "/x/cancel")):
        answer = await ask(method, f"/v1/batches{path}", key="wrong")
        assert refusal(answer)[:2] == (401, "invalid_api_key")


async def test_the_same_idempotency_key_makes_one_batch(gate, ask, upload):
    wanted = {**GOOD, "input_file_id": await upload([line("a")])}
    answers = [await ask("POST", "/v1/batches", wanted, idempotency_key="once") for _ in range(3)]
    assert len({answer.json["id"] for answer in answers}) == 1
    other = {**wanted, "metadata": {"a": "b"}}
    answer = await ask("POST", "/v1/batches", other, idempotency_key="once")
    assert refusal(answer) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert await rows(gate) == [1, 1]


# --- Looking ---------------------------------------------------------------------------------------


async def test_a_list_has_pages(ask, upload):
    empty = await ask.good("GET", "/v1/batches")
    openai_contract.validate("ListBatchesResponse", empty)
    assert (empty["data"], empty["has_more"]) == ([], False)
    ids = [(await made(ask, upload))["id"] for _ in range(3)]
    page = await ask.good("GET", "/v1/batches?limit=2")
    openai_contract.validate("ListBatchesResponse", page)
    assert [batch["id"] for batch in page["data"]] == [ids[2], ids[1]]
    assert (page["last_id"], page["has_more"]) == (ids[1], True)
    rest = await ask.good("GET", f"/v1/batches?after={page['last_id']}")
    assert ([batch["id"] for batch in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    assert (await ask("GET", "/v1/batches?limit=101")).status == 400


async def test_another_owners_batch_is_not_there(ask, upload):
    batch = await made(ask, upload)
    stranger = (await ask.good("POST", "/api/v1/keys", {"name": "other"}))["secret"]
    for method, path in (("GET", ""), ("POST", "/cancel")):
        answer = await ask(method, f"/v1/batches/{batch['id']}{path}", key=stranger)
        assert refusal(answer) == (404, "not_found", "batch_id")
    assert (await ask.good("GET", "/v1/batches", key=stranger))["data"] == []
    foreign = {**GOOD, "input_file_id": batch["input_file_id"]}
    answer = await ask("POST", "/v1/batches", foreign, key=stranger)
    assert refusal(answer) == (404, "not_found", "input_file_id")
    assert (await ask.good("GET", f"/v1/batches/{batch['id']}"))["status"] == "validating"


# --- Its life ----------------------------------------------------------------------------------------


async def test_a_batch_can_be_cancelled_and_its_file_deleted_then(ask, upload):
    batch = await made(ask, upload)
    file = f"/v1/files/{batch['input_file_id']}"
    assert refusal(await ask("DELETE", file)) == (409, "conflict", "file_id")
    cancelled = await ask.good("POST", f"/v1/batches/{batch['id']}/cancel")
    openai_contract.validate("Batch", cancelled)
    assert cancelled["status"] == "cancelling"
    assert cancelled["cancelling_at"] >= cancelled["created_at"]


@pytest.mark.parametrize("works", [True], indirect=True)
async def test_a_batch_that_has_ended_says_all_there_is(gate, ask, upload):
    batch = await made(ask, upload, [line("a"), line("b", model="none"), line("c")])
    found = await gate.home.ledger.batches.get(batch["id"], "")
    await ended(gate.home.jobs.services, found)
    batch = await ask.good("GET", f"/v1/batches/{batch['id']}")
    openai_contract.validate("Batch", batch)
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert batch["usage"]["total_tokens"] > 0
    assert batch["cost_usd"] == "0.000000"
    moments = ("created_at", "in_progress_at", "finalizing_at", "completed_at")
    assert [batch[name] for name in moments] == sorted(batch[name] for name in moments)
    content = await ask("GET", f"/v1/files/{batch['output_file_id']}/content")
    assert content.body.count(b"\n") == 2
    file = await ask.good("GET", f"/v1/files/{batch['error_file_id']}")
    openai_contract.validate("OpenAIFile", file)
    assert refusal(await ask("POST", f"/v1/batches/{batch['id']}/cancel"))[0] == 409
    await ask.good("DELETE", f"/v1/files/{batch['input_file_id']}")


@pytest.mark.parametrize("works", [True], indirect=True)
async def test_a_batch_that_failed_says_which_lines_are_wrong(gate, ask, upload):
    batch = await made(ask, upload, [line("a"), line("a")])
    found = await gate.home.ledger.batches.get(batch["id"], "")
    await ended(gate.home.jobs.services, found)
    batch = await ask.good("GET", f"/v1/batches/{batch['id']}")
    openai_contract.validate("Batch", batch)
    assert (batch["status"], batch["failed_at"] >= batch["created_at"]) == ("failed", True)
    (error,) = batch["errors"]["data"]
    assert (error["code"], error["line"], error["param"]) == (
        "duplicate_custom_id",
        2,
        "custom_id",
    )
