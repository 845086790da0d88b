"""A notification is tried until it arrives: ten times in three days, under one id, always signed."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest
from msgspec import Struct
from openai import OpenAI
from standardwebhooks import Webhook

import databases
import sink as sinks
from gatemill.core.clock import FakeClock, SystemClock
from gatemill.core.job import Again, Failed, Postponed, Succeeded
from gatemill.jobs import runner
from gatemill.jobs.kinds.webhook import ATTEMPTS_MAX, DELAYS_S
from gatemill.jobs.registry import Kinds
from gatemill.jobs.services import Amounts
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.webhooks import OVERLAP_S, REASON_GIVEN_UP, REASON_GONE, Wanted
from gatemill.policy.addresses import networks
from gatemill.upstream.outward import Bounds, Outward
from ledger_jobs import GOOD, NOW_S, OWNER, WORKER, claimed, ended, enroll, new_job, opened
from sink import CLOSE, HANG, Sink

HERE = networks(["127.0.0.0/8"])
KINDS = Kinds.load()
THREE_DAYS_S = 75 * 3600


class Post(Struct):
    """A ledger, a sender, and a worker that does one thing at a time."""

    ledger: Ledger
    clock: FakeClock
    sender: Outward

    async def run(self, rng: float = 0.5, *, finishes: bool = True):
        """What the next attempt came to; None when nothing is due. It is in the ledger if it finishes."""
        one = await claimed(self.ledger, "webhooks")
        if one is None:
            return None
        services = SimpleNamespace(
            ledger=self.ledger,
            gateway=SimpleNamespace(now=self.clock.monotonic_s),
            clock=self.clock,
            sender=self.sender,
            kinds=KINDS,
            amounts=Amounts(webhook_disable_after=2),
        )
        run = runner.Run(one, services, 0.0)
        outcome = await runner.run(run, lambda *_: None, lambda: rng)
        assert outcome is not None
        if finishes:
            assert await self.ledger.jobs.finish(one, outcome)
        return outcome

    async def run_all(self, rng: float = 0.5, most: int = 50) -> list[object]:
        """Every attempt of everything, each at its time."""
        outcomes = []
        while len(outcomes) < most:
            outcome = await self.run(rng)
            if outcome is None:
                return outcomes
            outcomes.append(outcome)
            if isinstance(outcome, Again | Postponed):
                self.clock.advance(outcome.run_at - self.clock.unix_s())
        raise AssertionError(outcomes)

    async def deliveries(self):
        return await self.ledger.webhooks.deliveries(Wanted(), 100)


def sender(timeout_s: float = 5.0) -> Outward:
    return Outward(HERE, ssl.create_default_context(), Bounds(timeout_s, 4))


@pytest.fixture
async def post(tmp_path):
    clock = FakeClock(NOW_S)
    with databases.empty("sqlite", tmp_path) as place:
        async with opened(tmp_path, place, clock) as ledger:
            yield Post(ledger, clock, sender())


@pytest.fixture
async def sink():
    async with Sink() as found:
        yield found


def signed_by(seen, secret: str) -> bool:
    """The independent library makes the same signature of what was received."""
    at = datetime.fromtimestamp(int(seen.headers["webhook-timestamp"]), UTC)
    wanted = Webhook(secret).sign(seen.id, at, seen.body.decode())
    return wanted in seen.headers["webhook-signature"].split(" ")


async def endpoint(post, sink, *events):
    return await post.ledger.webhooks.create(OWNER, sink.url, events or ("*",), "", 10)


@pytest.fixture(params=databases.KINDS)
def place(request, tmp_path):
    with databases.empty(request.param, tmp_path) as found:
        yield found


async def test_a_sink_that_is_down_for_nine_attempts_is_told_at_the_tenth(place, tmp_path, sink):
    clock = FakeClock(NOW_S)
    async with opened(tmp_path, place, clock) as ledger:
        post = Post(ledger, clock, sender(timeout_s=2.0))
        made, secret = await endpoint(post, sink)
        sink.answers = [500, CLOSE, 404, HANG, 301, 200 + 299, b"no http\r\n", 502, 400, 200]
        await ended(ledger, new_job(1), GOOD)
        outcomes = await post.run_all()
        assert len(sink.seen) == len(outcomes) == ATTEMPTS_MAX
        assert all(isinstance(each, Again) for each in outcomes[:-1])
        assert isinstance(outcomes[-1], Succeeded)
        assert len({seen.id for seen in sink.seen}) == 1
        assert len({seen.body for seen in sink.seen}) == 1
        assert all(signed_by(seen, secret) for seen in sink.seen)
        times = [int(seen.headers["webhook-timestamp"]) for seen in sink.seen]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps == [int(delay) for delay in DELAYS_S]
        assert sum(gaps) == pytest.approx(THREE_DAYS_S + 2105, abs=3600)
        found, tries = await ledger.webhooks.delivery(sink.seen[0].id, OWNER)
        assert (found.state, found.attempt) == ("succeeded", 10)
        assert [each.status for each in tries] == [
            500, None, 404, None, 301, 499, None, 502, 400, 200,
        ]  # fmt: skip
        assert (await ledger.webhooks.get(made.id, OWNER)).given_up == 0


@pytest.mark.parametrize(("rng", "share"), [(0.0, 0.9), (0.999, 1.1)])
async def test_the_pauses_jitter_by_a_tenth(post, sink, rng, share):
    await endpoint(post, sink)
    sink.by_default = 500
    await ended(post.ledger, new_job(1), GOOD)
    outcome = await post.run(rng)
    assert outcome.run_at - post.clock.unix_s() == pytest.approx(DELAYS_S[0] * share, rel=0.01)


async def test_real_verifiers_take_what_arrives(tmp_path, sink):
    with databases.empty("sqlite", tmp_path) as place:
        clock = SystemClock()
        async with opened(tmp_path, place, clock) as ledger:
            post = Post(ledger, clock, sender())
            _, secret = await endpoint(post, sink)
            await ended(ledger, new_job(1, kind="batch"), Succeeded(b'{"status":"completed"}'))
            await post.run()
    (seen,) = sink.seen
    assert Webhook(secret).verify(seen.body, seen.headers)["type"] == "batch.completed"
    event = OpenAI(api_key="none").webhooks.unwrap(seen.body, seen.headers, secret=secret)
    assert event.type == "batch.completed"
    assert event.data.id == "batch_0001"


async def test_a_callback_is_signed_with_the_owners_default_secret(post, sink):
    await ended(post.ledger, new_job(1, callback_url=sink.url), GOOD)
    assert isinstance(await post.run(), Succeeded)
    secret = (await post.ledger.webhooks.default_secret(OWNER)).secret
    assert signed_by(sink.seen[0], secret)


async def test_while_a_secret_is_replaced_both_verify_and_then_only_the_new_one(post, sink):
    made, old = await endpoint(post, sink)
    _, new = await post.ledger.webhooks.rotate(made.id, OWNER)
    await ended(post.ledger, new_job(1), GOOD)
    await post.run()
    assert signed_by(sink.seen[0], old)
    assert signed_by(sink.seen[0], new)
    post.clock.advance(OVERLAP_S)
    await ended(post.ledger, new_job(2), GOOD)
    await post.run()
    assert not signed_by(sink.seen[1], old)
    assert signed_by(sink.seen[1], new)


async def test_a_secret_replaced_between_two_tries_signs_the_second(post, sink):
    made, _ = await endpoint(post, sink)
    sink.answers = [500]
    await ended(post.ledger, new_job(1), GOOD)
    outcome = await post.run()
    _, new = await post.ledger.webhooks.rotate(made.id, OWNER, 0)
    post.clock.advance(outcome.run_at - post.clock.unix_s())
    await post.run()
    assert signed_by(sink.seen[1], new)
    assert sink.seen[0].id == sink.seen[1].id


# --- What the other side says ------------------------------------------------------------------------


async def test_410_disables_the_endpoint_and_ends_the_notification(post, sink):
    made, _ = await endpoint(post, sink)
    sink.by_default = 410
    await ended(post.ledger, new_job(1), GOOD)
    await ended(post.ledger, new_job(2), GOOD)
    first, second = await post.run_all()
    assert (first.error.code, second.error.code) == ("webhook_gone", "webhook_disabled")
    assert len(sink.seen) == 1
    found = await post.ledger.webhooks.get(made.id, OWNER)
    assert found.disabled_reason == REASON_GONE
    await ended(post.ledger, new_job(3), GOOD)
    assert await post.run() is None


async def test_410_of_a_callback_ends_it(post, sink):
    sink.by_default = 410
    await ended(post.ledger, new_job(1, callback_url=sink.url), GOOD)
    (outcome,) = await post.run_all()
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize(
    ("status", "header", "wait_s"),
    [
        (429, "retry-after: 120", 120.0),
        (503, "retry-after: 3600", 3600.0),
        (503, "retry-after: 1", DELAYS_S[0]),  # never sooner than our own pause
        (503, "retry-after: 999999999", DELAYS_S[0]),  # a mistake
        (503, "x-other: 1", DELAYS_S[0]),
        (500, "retry-after: 120", DELAYS_S[0]),
        (302, "retry-after: 120", DELAYS_S[0]),
    ],
)
async def test_retry_after_is_honoured_where_it_means_something(post, sink, status, header, wait_s):
    await endpoint(post, sink)
    sink.answers = [sinks.answer(status, header)]
    await ended(post.ledger, new_job(1), GOOD)
    outcome = await post.run()
    assert isinstance(outcome, Again)
    assert outcome.run_at - post.clock.unix_s() == pytest.approx(wait_s)
    post.clock.advance(wait_s)
    assert isinstance(await post.run(), Succeeded)


async def test_notifications_given_up_in_a_row_disable_the_endpoint(post, sink):
    made, _ = await endpoint(post, sink)
    sink.by_default = 500
    for number in (1, 2):
        await ended(post.ledger, new_job(number), GOOD)
        outcomes = await post.run_all()
        assert len(outcomes) == ATTEMPTS_MAX
        assert isinstance(outcomes[-1], Failed)
    found = await post.ledger.webhooks.get(made.id, OWNER)
    assert (found.given_up, found.disabled_reason) == (2, REASON_GIVEN_UP)


async def test_one_that_arrives_ends_the_row_of_failures(post, sink):
    made, _ = await endpoint(post, sink)
    await post.ledger.webhooks.given_up(made.id, 2)
    await ended(post.ledger, new_job(1), GOOD)
    await post.run()
    assert (await post.ledger.webhooks.get(made.id, OWNER)).given_up == 0


async def test_an_address_that_is_not_dialled_ends_it_at_once(post, sink):
    made, _ = await post.ledger.webhooks.create(OWNER, "http://10.0.0.1/x", ("*",), "", 10)
    await ended(post.ledger, new_job(1), GOOD)
    (outcome,) = await post.run_all()
    assert isinstance(outcome, Failed)
    assert "10.0" not in outcome.error.message
    assert (await post.ledger.webhooks.get(made.id, OWNER)).given_up == 1


async def test_a_deleted_endpoint_is_not_told(post, sink):
    made, _ = await endpoint(post, sink)
    await ended(post.ledger, new_job(1), GOOD)
    await post.ledger.webhooks.delete(made.id, OWNER)
    (outcome,) = await post.run_all()
    assert outcome.error.code == "webhook_deleted"
    assert sink.seen == []


async def test_an_endpoint_that_has_moved_is_told_where_it_is_now(post, sink):
    made, _ = await post.ledger.webhooks.create(OWNER, "http://127.0.0.1:1025/", ("*",), "", 10)
    await ended(post.ledger, new_job(1), GOOD)
    await post.run()
    await post.ledger.webhooks.update(made.id, OWNER, {"url": sink.url})
    outcomes = await post.run_all()
    assert outcomes == []  # not before its time
    post.clock.advance(DELAYS_S[0])
    assert isinstance(await post.run(), Succeeded)


# --- At least once -----------------------------------------------------------------------------------


async def test_a_crash_between_the_answer_and_the_commit_sends_it_again_under_the_same_id(
    post, sink
):
    await endpoint(post, sink)
    await ended(post.ledger, new_job(1), GOOD)
    await post.run(finishes=False)
    await post.ledger.jobs.leave(WORKER)
    await post.ledger.jobs.reap()
    await enroll(post.ledger, post.clock)
    assert isinstance(await post.run(), Succeeded)
    assert len(sink.seen) == 2
    assert sink.seen[0].id == sink.seen[1].id
    assert sink.seen[0].body == sink.seen[1].body


async def test_one_that_was_delivered_can_be_sent_again_under_the_same_id(post, sink):
    await endpoint(post, sink)
    await ended(post.ledger, new_job(1), GOOD)
    await post.run()
    (one,) = await post.deliveries()
    post.clock.advance(60)
    assert await post.ledger.jobs.replay(one.id, OWNER)
    assert not await post.ledger.jobs.replay(one.id, OWNER)  # it waits already
    assert isinstance(await post.run(), Succeeded)
    assert [seen.id for seen in sink.seen] == [one.id] * 2
    _, tries = await post.ledger.webhooks.delivery(one.id, OWNER)
    assert [each.status for each in tries] == [200, 200]


async def test_a_busy_host_postpones_and_no_attempt_is_counted(post, sink):
    post.sender = Outward(HERE, ssl.create_default_context(), Bounds(20.0, 1))
    await endpoint(post, sink)
    sink.by_default = HANG
    await ended(post.ledger, new_job(1), GOOD)
    held = asyncio.ensure_future(post.sender.post(OWNER, sink.url, (), b""))
    await sink.saw(1)
    outcome = await post.run()
    assert isinstance(outcome, Postponed)
    (one,) = await post.deliveries()
    assert (one.state, one.attempt) == ("scheduled", 0)
    _, tries = await post.ledger.webhooks.delivery(one.id, OWNER)
    assert tries == []
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)


async def test_no_secret_is_among_the_arguments_or_in_what_is_kept(post, sink):
    _, secret = await endpoint(post, sink)
    await ended(post.ledger, new_job(1), GOOD)
    await post.run()
    full = await post.ledger.jobs.get(sink.seen[0].id, OWNER)
    kept = (
        full.args
        + (full.result or b"")
        + b"".join((await post.ledger.jobs.steps(full.job.id)).values())
    )
    assert secret.removeprefix("whsec_").encode() not in kept
    assert b"v1," not in kept
    assert msgspec.json.decode(full.args)["endpoint"].startswith("we_")
