"""What is told of a job that has ended, and to whom."""

from __future__ import annotations

import time

import msgspec
import pytest
from openai import OpenAI

from gatemill.core.clock import FakeClock
from gatemill.core.job import Again, Postponed, Problem, Released, Succeeded
from gatemill.ledger.outbox import ATTEMPTS_MAX, BODY_BYTES_MAX
from gatemill.ledger.webhooks import Wanted
from gatemill.wire import webhook
from ledger_jobs import BAD, GOOD, NOW_S, OWNER, STOPPED, claimed, ended, new_job, opened, submitted

ALL = Wanted()


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def ledger(tmp_path, place, clock):
    async with opened(tmp_path, place, clock) as found:
        yield found


async def endpoint(ledger, *events, owner=OWNER, url="https://example.com/hook"):
    made, _ = await ledger.webhooks.create(owner, url, events or ("*",), "", 10)
    return made.id


async def told(ledger):
    """The events of all notifications, the newest first."""
    return [one.letter.event for one in await ledger.webhooks.deliveries(ALL, 100)]


async def body(ledger):
    (one,) = await ledger.webhooks.deliveries(ALL, 100)
    return msgspec.json.decode(one.letter.body)


async def test_a_callback_is_told_of_the_end_with_the_result(ledger):
    new = new_job(1, callback_url="https://example.com/cb", metadata=b'{"a":"b"}')
    await ended(ledger, new, GOOD)
    (one,) = await ledger.webhooks.deliveries(ALL, 10)
    assert (one.state, one.attempt, one.attempts_max) == ("queued", 0, ATTEMPTS_MAX)
    assert (one.letter.endpoint, one.letter.url) == ("", "https://example.com/cb")
    assert (one.letter.event, one.letter.subject) == ("job.succeeded", "job_0001")
    said = msgspec.json.decode(one.letter.body)
    assert said["id"].startswith("evt_")
    assert {name: said[name] for name in ("object", "type", "created_at")} == {
        "object": "event",
        "type": "job.succeeded",
        "created_at": int(NOW_S),
    }
    assert said["data"] == {
        "id": "job_0001",
        "object": "job",
        "kind": "echo",
        "state": "succeeded",
        "created_at": NOW_S,
        "started_at": NOW_S,
        "finished_at": NOW_S,
        "attempt": 1,
        "error": None,
        "metadata": {"a": "b"},
        "result": {"answer": 42},
    }


async def test_a_dead_job_is_told_with_its_reason(ledger):
    await endpoint(ledger)
    await ended(ledger, new_job(1), BAD)
    said = await body(ledger)
    assert said["type"] == "job.dead"
    assert said["data"]["error"] == {"code": "oops", "message": "It went wrong."}
    assert said["data"]["result"] is None


async def test_only_those_who_asked_are_told_and_only_of_their_own(ledger):
    meant = [await endpoint(ledger, "job.*"), await endpoint(ledger, "job.succeeded")]
    await endpoint(ledger, "job.dead")
    await endpoint(ledger, "batch.*")
    await endpoint(ledger, "*", owner="team:b")
    await ended(ledger, new_job(1, callback_url="https://example.com/cb"), GOOD)
    found = await ledger.webhooks.deliveries(ALL, 10)
    assert sorted(one.letter.endpoint for one in found) == sorted(["", *meant])
    assert len({one.id for one in found}) == 3
    assert len({one.letter.body for one in found}) == 1


async def test_nobody_is_told_of_what_nobody_asked_for(ledger):
    await ended(ledger, new_job(1), GOOD)
    await endpoint(ledger)
    await ended(ledger, new_job(2, notify=False, callback_url="https://example.com/"), GOOD)
    assert await told(ledger) == []


async def test_a_disabled_endpoint_is_not_told(ledger):
    made = await endpoint(ledger)
    await ledger.webhooks.disable(made, "for a test")
    await ended(ledger, new_job(1), GOOD)
    assert await told(ledger) == []


async def test_what_has_not_ended_is_not_told(ledger):
    await endpoint(ledger)
    problem = Problem("busy", "Later.")
    for number, outcome in enumerate(
        (Again(problem, NOW_S + 9e9), Postponed(problem, NOW_S + 9e9), Released())
    ):
        await ended(ledger, new_job(number), outcome)
    assert await told(ledger) == []


async def test_a_waiting_job_that_is_cancelled_is_told_once(ledger):
    await endpoint(ledger)
    await submitted(ledger, new_job(1))
    for _ in range(2):
        await ledger.jobs.cancel("job_0001", OWNER)
    assert await told(ledger) == ["job.cancelled"]


async def test_a_job_that_was_cancelled_is_never_told_as_succeeded(ledger):
    await endpoint(ledger)
    await submitted(ledger, new_job(1))
    one = await claimed(ledger)
    await ledger.jobs.cancel("job_0001", OWNER)
    assert await ledger.jobs.finish(one, STOPPED)
    assert not await ledger.jobs.finish(one, GOOD)  # it comes too late
    assert await told(ledger) == ["job.cancelled"]


async def test_a_late_result_of_a_lost_worker_is_not_told(ledger, clock):
    await endpoint(ledger)
    await submitted(ledger, new_job(1))
    late = await claimed(ledger)
    await ledger.jobs.leave("worker_1")
    await ledger.jobs.reap()
    assert not await ledger.jobs.finish(late, GOOD)
    assert await told(ledger) == []


async def test_an_expired_job_is_told(ledger, clock):
    await endpoint(ledger)
    await submitted(ledger, new_job(1, expires_at=NOW_S + 10))
    clock.advance(11)
    await ledger.jobs.expire()
    assert await told(ledger) == ["job.expired"]


async def test_a_replayed_job_is_told_again(ledger, clock):
    await endpoint(ledger)
    await ended(ledger, new_job(1), BAD)
    clock.advance(1)
    assert await ledger.jobs.replay("job_0001", OWNER)
    one = await claimed(ledger)
    await ledger.jobs.finish(one, GOOD)
    assert await told(ledger) == ["job.succeeded", "job.dead"]


async def test_notifications_are_not_told_themselves(ledger):
    await endpoint(ledger)
    await ended(ledger, new_job(1), GOOD)
    one = await claimed(ledger, "webhooks")
    assert await ledger.jobs.finish(one, BAD)
    assert await told(ledger) == ["job.succeeded"]


# --- Names -------------------------------------------------------------------------------------------


RESPONSE, BATCH = "response", "batch"
NAMED = (
    (RESPONSE, Succeeded(b'{"status":"completed"}'), "response.completed"),
    (RESPONSE, Succeeded(b'{"status":"incomplete"}'), "response.incomplete"),
    (RESPONSE, Succeeded(b'{"status":"failed"}'), "response.failed"),
    (RESPONSE, Succeeded(b'{"status":"in_progress"}'), "response.completed"),
    (RESPONSE, Succeeded(b"[]"), "response.completed"),
    (RESPONSE, Succeeded(b'{"status":7}'), "response.completed"),
    (RESPONSE, BAD, "response.failed"),
    (RESPONSE, STOPPED, "response.cancelled"),
    (BATCH, Succeeded(b'{"status":"completed"}'), "batch.completed"),
    (BATCH, Succeeded(b'{"status":"failed"}'), "batch.failed"),
    (BATCH, Succeeded(b'{"status":"expired"}'), "batch.expired"),
    (BATCH, Succeeded(b'{"status":"cancelled"}'), "batch.cancelled"),
    (BATCH, BAD, "batch.failed"),
    (BATCH, STOPPED, "batch.cancelled"),
)


async def test_openais_names_are_used_where_there_are_any(ledger, clock):
    await endpoint(ledger)
    for number, (kind, outcome, event) in enumerate(NAMED):
        clock.advance(1)
        await ended(ledger, new_job(number, kind=kind), outcome)
        one = (await ledger.webhooks.deliveries(ALL, 1))[0]
        prefix = "resp_" if kind == RESPONSE else "batch_"
        assert (one.letter.event, one.letter.subject) == (event, f"{prefix}{number:04}")
        data = msgspec.json.decode(one.letter.body)["data"]
        assert (data["id"], data["object"]) == (one.letter.subject, kind)


@pytest.mark.parametrize("kind", ["response", "batch", "echo"])
async def test_the_openai_sdk_unwraps_what_it_knows(ledger, kind):
    secret = (await ledger.webhooks.create(OWNER, "https://example.com", ("*",), "", 9))[1]
    await ended(ledger, new_job(1, kind=kind), Succeeded(b'{"status":"completed"}'))
    (one,) = await ledger.webhooks.deliveries(ALL, 10)
    sent = one.letter.body.encode()
    headers = dict(webhook.headers((webhook.key_of(secret),), one.id, time.time(), sent))
    event = OpenAI(api_key="none").webhooks.unwrap(sent, headers, secret=secret)
    assert event.type == one.letter.event
    assert event.data.id == one.letter.subject


# --- Size --------------------------------------------------------------------------------------------


async def test_a_result_is_in_the_body_as_long_as_all_of_it_stays_small(ledger, clock):
    await endpoint(ledger)
    text = b'"' + b"x" * (BODY_BYTES_MAX - 1000) + b'"'
    await ended(ledger, new_job(1), Succeeded(text))
    said = await body(ledger)
    assert len(said["data"]["result"]) == BODY_BYTES_MAX - 1000


@pytest.mark.parametrize("length", [BODY_BYTES_MAX - 100, BODY_BYTES_MAX, 3_000_000])
async def test_a_long_result_is_left_out_and_that_is_said(ledger, length):
    await endpoint(ledger)
    await ended(ledger, new_job(1), Succeeded(b'"' + b"x" * length + b'"'))
    (one,) = await ledger.webhooks.deliveries(ALL, 10)
    assert len(one.letter.body) < 2_000
    data = msgspec.json.decode(one.letter.body)["data"]
    assert data["result"] is None
    assert data["result_omitted"] is True
