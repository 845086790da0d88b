import asyncio

import msgspec
import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    Conflict,
    IdempotencyKeyReused,
    NotFound,
    RateLimited,
)
from gatemill.core.job import NewJob, Stopped, Want
from gatemill.ledger import queries
from gatemill.ledger.batches import (
    DROP_RESULTS,
    OPEN_MAX,
    End,
    LineProblem,
    LineResult,
    NewBatch,
    Tokens,
)
from gatemill.ledger.files import Label
from gatemill.ledger.jobs.rows import WorkerRow
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.queries import literal

NOW_S = 1_763_700_000.0
OWNER = "key:a"
WORKER = WorkerRow(
    id="w",
    host="h",
    pid=1,
    pid_started=1,
    queues=("batch",),
    slots=10,
    running=0,
    lease_s=1e9,
    started_at=NOW_S,
    beat_at=NOW_S,
)
JOBS = literal("jobs", "SELECT count(*) AS rows FROM jobs")
RESULTS = literal("results", "SELECT count(*) AS rows FROM batch_results")


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def ledger(place, tmp_path, clock):
    opened = Ledger.open(tmp_path, place.url, clock)
    await opened.jobs.enroll(WORKER)
    draft = await opened.files.begin("file-in", OWNER, None)
    await draft.write(b"{}\n")
    await opened.files.finish(draft, Label("batch", "in.jsonl", 7200.0))
    draft = await opened.files.begin("file-b", "key:b", None)
    await opened.files.finish(draft, Label("batch", "in.jsonl", None))
    yield opened
    await opened.close()


@pytest.fixture
def batches(ledger):
    return ledger.batches


def wanted(number=1, **changes):
    new = NewBatch(
        id=f"batch_{number}",
        job_id=f"job_{number}",
        owner=OWNER,
        endpoint="/v1/chat/completions",
        input_file_id="file-in",
        completion_window="24h",
        metadata='{"a": "b"}',
        output_keep_s=3600.0,
        idempotency_key="",
        fingerprint="",
        created_at=NOW_S,
        expires_at=NOW_S + 86_400,
    )
    return msgspec.structs.replace(new, **changes)


def job(new):
    return NewJob(
        id=new.job_id, kind="batch", queue="batch", args=b"{}", owner=new.owner, key_id=""
    )


async def created(batches, number=1, **changes):
    new = wanted(number, **changes)
    return await batches.create(new, job(new))


async def claimed(ledger, claim="c1"):
    (found,) = await ledger.jobs.claim("w", [Want("batch", 10)], {}, claim)
    return found


async def rows(place, query):
    def count():
        database = place.open(writes=False)
        try:
            return database.rows(query)[0]["rows"]
        finally:
            database.close()

    return await asyncio.to_thread(count)


def result(line, *, succeeded=True):
    tokens = Tokens(5, 1, 7, 2)
    return LineResult(line, succeeded=succeeded, data=b"%d\n" % line, tokens=tokens)


# --- Accepting ------------------------------------------------------------------------------------


async def test_a_batch_and_its_job_are_accepted_together(ledger, batches):
    batch, new = await created(batches)
    assert new
    assert (batch.status, batch.total, batch.metadata) == ("validating", 0, '{"a": "b"}')
    assert batch == await batches.get("batch_1", OWNER) == await batches.get("batch_1", "")
    assert (await ledger.jobs.get("job_1", None)).job.kind == "batch"


async def test_without_its_file_nothing_is_accepted(batches, place):
    for changes in ({"input_file_id": "file-none"}, {"owner": "key:b"}):
        with pytest.raises(NotFound) as caught:
            await created(batches, **changes)
        assert caught.value.param == "input_file_id"
    assert await rows(place, JOBS) == 0
    assert await batches.listed(OWNER, 10, "") == []


async def test_the_same_idempotency_key_is_the_same_batch(batches, place):
    first, _ = await created(batches, 1, idempotency_key="once", fingerprint="x")
    again, new = await created(batches, 2, idempotency_key="once", fingerprint="x")
    assert (again, new) == (first, False)
    with pytest.raises(IdempotencyKeyReused):
        await created(batches, 3, idempotency_key="once", fingerprint="y")
    assert await rows(place, JOBS) == 1


async def test_an_owner_has_so_many_open_batches_and_no_more(batches, place):
    query = queries.load("batches")["insert_batch"]
    others = [msgspec.structs.asdict(wanted(number)) for number in range(1, OPEN_MAX)]

    def fill():
        database = place.open(writes=True)
        try:
            with database.transaction():
                for row in others:
                    database.run(query, row)
        finally:
            database.close()

    await asyncio.to_thread(fill)
    await created(batches, 0)
    with pytest.raises(RateLimited):
        await created(batches, OPEN_MAX)
    assert (await created(batches, OPEN_MAX + 1, owner="key:b", input_file_id="file-b"))[1]


async def test_another_owners_batch_is_not_there(batches):
    await created(batches)
    for ask in (batches.get, batches.cancel):
        with pytest.raises(NotFound):
            await ask("batch_1", "key:b")
    assert await batches.listed("key:b", 10, "") == []
    assert (await batches.get("batch_1", OWNER)).status == "validating"


async def test_a_list_has_pages(batches):
    for number in range(5):
        await created(batches, number)
    assert [one.id[-1] for one in await batches.listed(OWNER, 2, "")] == ["4", "3"]
    assert [one.id[-1] for one in await batches.listed(OWNER, 9, "batch_3")] == ["2", "1", "0"]


async def test_the_file_of_an_open_batch_stays(ledger, batches, clock):
    await created(batches)
    with pytest.raises(Conflict):
        await ledger.files.delete("file-in", OWNER)
    clock.advance(8000.0)
    assert await ledger.files.retain() == 0
    pieces = [piece async for piece in ledger.files.content("file-in")]
    assert pieces == [b"{}\n"]
    await batches.end(await claimed(ledger), "batch_1", End(status="failed", keep_s=1e6))
    assert await ledger.files.retain() == 1


# --- Results ---------------------------------------------------------------------------------------


async def test_results_are_counted_once_however_often_they_are_saved(ledger, batches):
    await created(batches)
    ours = await claimed(ledger)
    assert await batches.begin(ours, "batch_1", 9)
    assert await batches.save(ours, "batch_1", [result(1), result(3, succeeded=False)])
    assert await batches.save(ours, "batch_1", [result(3, succeeded=False), result(1), result(4)])
    batch = await batches.get("batch_1", OWNER)
    assert (batch.status, batch.total) == ("in_progress", 9)
    assert (batch.completed, batch.failed) == (2, 1)
    assert (batch.input_tokens, batch.cached_tokens) == (15, 3)
    assert (batch.output_tokens, batch.reasoning_tokens) == (21, 6)
    assert await batches.known_lines("batch_1", 1, 3) == {1, 3}
    found = await batches.results("batch_1", 2, 9, 10)
    assert found == [(3, False, b"3\n"), (4, True, b"4\n")]
    assert await batches.results("batch_1", 1, 9, 1) == [(1, True, b"1\n")]


async def test_without_the_claim_nothing_is_written(ledger, batches, place):
    await created(batches)
    ours = await claimed(ledger)
    stale = msgspec.structs.replace(ours, claim="another")
    assert not await batches.begin(stale, "batch_1", 9)
    assert not await batches.save(stale, "batch_1", [result(1)])
    assert not await batches.finalize(stale, "batch_1")
    assert not await batches.end(stale, "batch_1", End(status="failed", keep_s=1.0))
    assert await rows(place, RESULTS) == 0
    assert (await batches.get("batch_1", OWNER)).status == "validating"


# --- Cancelling ------------------------------------------------------------------------------------


async def test_a_cancelled_batch_stays_so_until_it_ends(ledger, batches, clock):
    await created(batches)
    ours = await claimed(ledger)
    batch = await batches.cancel("batch_1", OWNER)
    assert (batch.status, batch.cancelling_at) == ("cancelling", NOW_S)
    clock.advance(5.0)
    assert await batches.cancel("batch_1", OWNER) == batch
    await batches.begin(ours, "batch_1", 3)
    await batches.finalize(ours, "batch_1")
    assert (await batches.get("batch_1", OWNER)).status == "cancelling"
    await batches.end(ours, "batch_1", End(status="cancelled", keep_s=1.0))
    assert (await batches.cancel("batch_1", OWNER)).status == "cancelled"


async def test_it_is_too_late_to_cancel_once_the_output_is_made(ledger, batches):
    await created(batches)
    ours = await claimed(ledger)
    await batches.begin(ours, "batch_1", 3)
    await batches.finalize(ours, "batch_1")
    with pytest.raises(Conflict, match="finalizing"):
        await batches.cancel("batch_1", OWNER)
    await batches.end(ours, "batch_1", End(status="completed", keep_s=1.0))
    with pytest.raises(Conflict, match="completed"):
        await batches.cancel("batch_1", OWNER)


# --- The end ---------------------------------------------------------------------------------------


async def draft_of(ledger, file_id, data):
    draft = await ledger.files.begin(file_id, OWNER, None)
    await draft.write(data)
    await draft.flush()
    return draft


async def test_a_batch_ends_once_and_shows_its_files(ledger, batches, place):
    await created(batches)
    ours = await claimed(ledger)
    await batches.begin(ours, "batch_1", 2)
    await batches.save(ours, "batch_1", [result(1)])
    for number in (1, 2):
        await draft_of(ledger, f"file-{number}", b"out")
        label = (f"file-{number}", Label("batch_output", "out.jsonl", 60.0))
        end = End(
            status="completed",
            output_file_id=f"file-{number}",
            failed=1,
            cost_microusd=17,
            keep_s=100.0,
        )
        assert await batches.end(ours, "batch_1", end, [label])
    batch = await batches.get("batch_1", OWNER)
    assert (batch.status, batch.output_file_id) == ("completed", "file-1")
    assert (batch.completed, batch.failed, batch.cost_microusd) == (1, 1, 17)
    assert (await ledger.files.get("file-1", OWNER)).bytes == 3
    with pytest.raises(NotFound):
        await ledger.files.get("file-2", OWNER)


async def test_an_unusable_file_is_told_line_by_line(ledger, batches):
    await created(batches)
    problems = [LineProblem(code="invalid_json", message="Bad.", line=7)]
    end = End(status="failed", errors=problems, keep_s=1.0)
    await batches.end(await claimed(ledger), "batch_1", end)
    batch = await batches.get("batch_1", OWNER)
    assert msgspec.json.decode(batch.errors) == [
        {"code": "invalid_json", "message": "Bad.", "line": 7}
    ]


async def test_results_are_forgotten_when_the_files_have_them(ledger, batches, place):
    await created(batches)
    ours = await claimed(ledger)
    many = [result(line) for line in range(1, 2 * DROP_RESULTS + 2)]
    await batches.save(ours, "batch_1", many)
    assert await batches.retain() == 0
    assert await rows(place, RESULTS) == len(many)
    await batches.forget_results("batch_1")
    assert await rows(place, RESULTS) == 0


# --- Housekeeping ----------------------------------------------------------------------------------


async def test_a_batch_whose_job_is_gone_has_failed(ledger, batches, place, clock):
    await created(batches)
    ours = await claimed(ledger)
    await batches.save(ours, "batch_1", [result(1)])
    assert await batches.retain() == 0
    await ledger.jobs.finish(ours, Stopped())
    assert await batches.retain() == 1
    batch = await batches.get("batch_1", OWNER)
    assert (batch.status, batch.ended_at) == ("cancelled", NOW_S)
    assert await rows(place, RESULTS) == 0
    await ledger.jobs.delete("job_1", None)
    assert await batches.retain() == 0
    clock.advance(3600.0)
    assert await batches.retain() == 1
    with pytest.raises(NotFound):
        await batches.get("batch_1", OWNER)


async def test_a_batch_without_a_job_says_what_to_do(ledger, batches):
    await created(batches)
    await ledger.jobs.cancel("job_1", None)
    await ledger.jobs.delete("job_1", None)
    assert await batches.retain() == 1
    batch = await batches.get("batch_1", OWNER)
    assert batch.status == "failed"
    assert msgspec.json.decode(batch.errors)[0]["code"] == "batch_failed"
