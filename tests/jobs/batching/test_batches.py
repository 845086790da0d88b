"""Whole batches, run by a crew in this process against a fake provider."""

from __future__ import annotations

import time

import msgspec
import pytest

from batch_play import CHAT, ended, files_of, handed_in, ids, key_of, line, uploaded
from crews import ended as job_ended
from crews import working
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.job import owner_of
from gatemill.core.limits import Budget, Limits
from gatemill.jobs.batching import desk
from gatemill.ledger.queries import literal

RESULTS = literal("results", "SELECT count(*) AS rows FROM batch_results")


async def left_over(services):
    found = await services.ledger._job_reader.run(lambda db: db.rows(RESULTS))
    return found[0]["rows"]


# --- To the end ------------------------------------------------------------------------------------


async def test_good_lines_are_answered_in_order_and_bad_ones_told_apart(tmp_path, config, database):
    lines = [line(f"id-{number}", text=f"say {number}") for number in range(11)]
    lines[2] = line("id-2", model="unknown")
    lines[3] = line("id-3", model="refusing")
    lines[5] = b"nonsense"
    lines[7] = {"custom_id": "id-7"}
    lines[8] = line("id-8", temperature="hot")
    async with working(tmp_path, config, **database) as site:
        services = site.services
        key = await key_of(services)
        batch = await ended(services, await handed_in(services, key, lines))
        output, errors = await files_of(services, batch)
        cost = await services.ledger.jobs.cost(batch.job_id)
        job = await job_ended(services, batch.job_id)
        parts = await services.ledger.jobs.parts(batch.job_id, 10)
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 11, 6, 5)
    assert ids(output) == ["id-0", "id-1", "id-4", "id-6", "id-9", "id-10"]
    assert ids(errors) == ["id-2", "id-3", None, "id-7", "id-8"]
    assert [one["response"] and one["response"]["status_code"] for one in errors] == [
        404,
        400,
        None,
        None,
        400,
    ]
    assert errors[0]["response"]["body"]["error"]["code"] == "model_not_found"
    assert errors[2]["error"]["code"] == "invalid_json"
    assert errors[2]["error"]["line"] == 6
    assert errors[3]["error"]["param"] == "method"
    for one in output:
        body = one["response"]["body"]
        assert body["object"] == "chat.completion"
        assert one["response"]["request_id"].startswith("req_")
    used = [one["response"]["body"]["usage"] for one in output]
    assert batch.input_tokens == sum(one["prompt_tokens"] for one in used) > 0
    assert batch.output_tokens == sum(one["completion_tokens"] for one in used) > 0
    assert batch.cost_microusd == cost > 0
    total_usd = sum(float(one["cost_usd"]) for one in output)
    assert round(total_usd * 1e6) == cost
    assert len({one["id"] for one in output + errors}) == 11
    assert len(parts) == 3
    assert msgspec.json.decode(job.result) == {"batch_id": batch.id, "status": "completed"}


async def test_every_line_is_on_the_account_of_the_key_that_made_the_batch(site, key):
    services = site.services
    batch = await ended(services, await handed_in(services, key, [line("a"), line("b")]))
    await services.ledger.flushed()
    rows = await services.ledger.recent(10)
    assert {row.key_id for row in rows} == {key.id}
    assert batch.owner == owner_of(key)
    assert {row.job_id for row in rows} != {""}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/embeddings", {"model": "fast", "input": "hi"}),
        ("/v1/responses", {"model": "fast", "input": "hi"}),
        ("/v1/completions", {"model": "fast", "prompt": "hi"}),
        (
            "/v1/messages",
            {"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
        ),
        (
            "/v1/messages/count_tokens",
            {"model": "fast", "messages": [{"role": "user", "content": "hi"}]},
        ),
        ("/api/v1/inference", {"model": "fast", "text": "hi"}),
    ],
)
async def test_every_endpoint_can_be_asked_in_a_batch(site, key, endpoint, body):
    asked = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    batch = await ended(site.services, await handed_in(site.services, key, [asked], endpoint))
    output, errors = await files_of(site.services, batch)
    assert errors == []
    assert output[0]["response"]["status_code"] == 200


async def test_a_batch_of_bad_lines_and_one_good_has_both_files(site, key):
    batch = await handed_in(site.services, key, [line("a"), b"bad"])
    batch = await ended(site.services, batch)
    assert (batch.status, batch.completed, batch.failed) == ("completed", 1, 1)
    assert batch.output_file_id
    assert batch.error_file_id
    file = await site.services.ledger.files.get(batch.output_file_id, owner_of(key))
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at == pytest.approx(file.created_at + 30 * 86_400)
    await job_ended(site.services, batch.job_id)
    assert await left_over(site.services) == 0


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "empty_file"),
        ([b"x", b"y"], "invalid_json"),
        ([line("a"), line("a")], "duplicate_custom_id"),
        ([line(f"{number}") for number in range(21)], "too_many_lines"),
    ],
)
async def test_an_unusable_file_fails_the_batch_and_asks_nothing(
    tmp_path, config, fake, lines, code
):
    config = config.replace("part_lines", "lines_max = 20\npart_lines")
    async with working(tmp_path, config) as site:
        key = await key_of(site.services)
        batch = await ended(site.services, await handed_in(site.services, key, lines))
    assert batch.status == "failed"
    assert msgspec.json.decode(batch.errors)[0]["code"] == code
    assert (batch.output_file_id, batch.error_file_id, len(fake.journal)) == ("", "", 0)


# --- Waiting and failing -----------------------------------------------------------------------------


async def test_what_a_limit_holds_back_waits_and_does_not_fail(site):
    key = await key_of(site.services, limits=Limits(concurrency=1))
    lines = [line(f"id-{number}", model="slow") for number in range(4)]
    batch = await ended(site.services, await handed_in(site.services, key, lines))
    assert (batch.status, batch.completed, batch.failed) == ("completed", 4, 0)


async def test_a_provider_that_limits_us_is_waited_for(site, key):
    begun_s = time.monotonic()
    batch = await handed_in(site.services, key, [line("a", model="limiting")])
    batch = await ended(site.services, batch)
    assert (batch.status, batch.completed) == ("completed", 1)
    assert time.monotonic() - begun_s >= 1.0


async def test_a_provider_that_fails_fails_its_lines_alone(site, key):
    batch = await handed_in(site.services, key, [line("a", model="failing"), line("b")])
    batch = await ended(site.services, batch)
    output, errors = await files_of(site.services, batch)
    assert ids(output) == ["b"]
    assert errors[0]["response"]["status_code"] == 502


async def test_a_spent_budget_fails_the_lines_that_it_does_not_reach(site):
    budget = Budget("day", 30)
    key = await key_of(site.services, limits=Limits(budgets=(budget,)))
    lines = [line(f"id-{number}", max_tokens=5) for number in range(6)]
    batch = await ended(site.services, await handed_in(site.services, key, lines))
    output, errors = await files_of(site.services, batch)
    assert batch.status == "completed"
    assert len(output) + len(errors) == 6
    codes = {one["response"]["body"]["error"]["code"] for one in errors}
    assert codes == {"insufficient_quota"}
    assert batch.cost_microusd <= 30


async def test_lines_of_a_part_that_died_say_why_and_the_batch_ends(tmp_path, config):
    async with working(tmp_path, config, starts=False) as site:
        services = site.services
        key = await key_of(services)
        batch = await handed_in(services, key, [line("a"), line("b")])
        await services.ledger.revoke_key(key.id)
        site.crew.start()
        batch = await ended(services, batch)
        output, errors = await files_of(services, batch)
    assert (batch.status, output, ids(errors)) == ("completed", [], ["a", "b"])
    assert {one["error"]["code"] for one in errors} == {"invalid_api_key"}
    assert (batch.total, batch.completed, batch.failed) == (2, 0, 2)


# --- The desk -----------------------------------------------------------------------------------------


async def test_what_is_refused_leaves_no_row(site, key):
    services = site.services
    file_id = await uploaded(services, key, b"{}")
    with pytest.raises(InvalidValue, match="endpoint"):
        await desk.create(services, key, desk.Wanted(file_id, "/v1/images", "24h"))
    many = desk.Wanted(file_id, CHAT, "24h", metadata={str(number): "x" for number in range(17)})
    with pytest.raises(InvalidValue, match="metadata"):
        await desk.create(services, key, many)
    with pytest.raises(InvalidValue, match="Idempotency-Key"):
        await desk.create(services, key, desk.Wanted(file_id, CHAT, "24h"), "ä")
    stranger = await key_of(services, "stranger")
    with pytest.raises(NotFound):
        await desk.create(services, stranger, desk.Wanted(file_id, CHAT, "24h"))
    assert await services.ledger.batches.listed(owner_of(key), 10, "") == []
