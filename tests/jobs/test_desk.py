"""The desk: what is accepted is in the ledger and workers hear of it, what is refused is neither."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.core.errors import (
    Conflict,
    GatemillError,
    IdempotencyKeyReused,
    InvalidArguments,
    InvalidValue,
    LedgerUnavailable,
    NotFound,
    Overloaded,
    RateLimited,
    RequestTooLarge,
)
from gatemill.core.job import HIGH, LOW
from gatemill.jobs.desk import CHAT, Desk, Manner, Terms
from gatemill.jobs.submission import Sender, Submission
from gatemill.ledger.jobs.rows import Filter
from house_for_tests import opened

ADA = Key(id="ada", name="ada", team_id="core")
BOB = Key(id="bob", name="bob", team_id="core")
EVE = Key(id="eve", name="eve")
ROOT = Key(id="root", name="root", admin=True)
CHAT_BODY = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
TERMS = Terms(args_bytes=1000, waiting_max=8, waiting_max_per_owner=5)


class Bell:
    """Remembers what was rung."""

    POLL_S = None
    lost = 0

    def __init__(self):
        self.rung = []
        self.called_off = []

    async def ring(self, rings):
        self.rung += rings

    async def call_off(self, job_id):
        self.called_off.append(job_id)


@pytest.fixture
async def home(tmp_path):
    async with opened(tmp_path, '[models.echo]\ntargets = ["echo/echo"]\n') as gate:
        yield gate.home


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def desk(home, bell):
    async def check_url(url):
        if "10." in url:
            raise InvalidValue("`callback_url`: is not public. Send another.", param="callback_url")

    services = replace(home.jobs.services, bell=bell)
    return Desk(services, bell, TERMS, check_url, services.news)


def _job(**more):
    return Submission(**{"kind": CHAT, "args": Raw(CHAT_BODY), **more})


async def _count(desk):
    return len(await desk.listed(ROOT, Filter(), 100))


async def test_what_is_accepted_is_there_and_workers_hear_of_it(desk, bell):
    (one, two) = await desk.accept(Sender(ADA), [_job(priority="high"), _job()], listed=True)
    assert [(ring.id, ring.queue) for ring in bell.rung] == [
        (one.job.id, "inference"),
        (two.job.id, "inference"),
    ]
    full = await desk.full(ADA, one.job.id)
    assert (full.args, full.job.owner, full.job.key_id) == (CHAT_BODY, "team:core", "ada")
    assert (full.job.priority, full.job.state) == (HIGH, "queued")


async def test_what_begins_later_is_not_rung(desk, bell, home):
    run_at = home.gateway.clock.unix_s() + 60
    (found,) = await desk.accept(Sender(ADA), [_job(run_at=run_at, ttl=10)])
    assert (found.job.state, found.job.expires_at) == ("scheduled", run_at + 10)
    assert bell.rung == []


async def test_a_repeat_is_the_same_job_and_rings_nobody(desk, bell):
    sender = Sender(ADA, "k1", "fingerprint")
    (first,) = await desk.accept(sender, [_job()])
    (again,) = await desk.accept(sender, [_job()])
    assert (first.job.id, first.created, again.created) == (again.job.id, True, False)
    assert len(bell.rung) == 1
    with pytest.raises(IdempotencyKeyReused):
        await desk.accept(Sender(BOB, "k1", "another"), [_job()])
    (stranger,) = await desk.accept(Sender(EVE, "k1", "another"), [_job()])
    assert stranger.created


@pytest.mark.parametrize(
    ("job", "error", "param"),
    [
        (_job(kind="nothing"), InvalidValue, "kind"),
        (_job(kind="webhook"), InvalidValue, "kind"),
        (_job(args=Raw(b"{}")), InvalidArguments, "args.model"),
        (_job(args=Raw(b'"x"')), InvalidArguments, "args"),
        (_job(args=Raw(b'{"x":"' + b"y" * 1000 + b'"}')), RequestTooLarge, "args"),
        (_job(run_at=1.0), InvalidValue, "run_at"),
        (_job(callback_url="http://10.0.0.1/"), InvalidValue, "callback_url"),
    ],
    ids=["kind", "hidden", "missing", "type", "large", "past", "callback"],
)
async def test_one_that_is_refused_takes_all_with_it(desk, bell, job, error, param):
    with pytest.raises(error) as caught:
        await desk.accept(Sender(ADA), [job])
    assert (type(caught.value), caught.value.param) == (error, param)
    with pytest.raises(error) as caught:
        await desk.accept(Sender(ADA), [_job(), job], listed=True)
    assert caught.value.param == f"jobs.1.{param}"
    assert await _count(desk) == 0
    assert bell.rung == []


async def test_an_owner_has_so_many_jobs_and_no_more(desk):
    await desk.accept(Sender(ADA), [_job()] * 5, listed=True)
    with pytest.raises(RateLimited):
        await desk.accept(Sender(BOB), [_job()])
    await desk.accept(Sender(EVE), [_job()] * 3, listed=True)
    with pytest.raises(Overloaded):
        await desk.accept(Sender(EVE), [_job()])
    assert await _count(desk) == 8


async def test_an_inference_request_is_a_job(desk, bell):
    found = await desk.accept_inference(Sender(ADA), "chat", CHAT_BODY, Manner(CHAT, LOW))
    assert (found.job.kind, found.job.priority) == (CHAT, LOW)
    body = b'{"model":"echo","input":"hi"}'
    found = await desk.accept_inference(Sender(ADA), "embeddings", body, Manner("inference"))
    full = await desk.full(ADA, found.job.id)
    assert msgspec.json.decode(full.args) == {
        "operation": "embeddings",
        "body": {"model": "echo", "input": "hi"},
    }
    assert len(bell.rung) == 2


async def test_cancelling_a_job_that_waits_calls_nobody_off(desk, bell):
    (found,) = await desk.accept(Sender(ADA), [_job()])
    with desk.news.of(found.job.id) as ear:
        assert (await desk.cancel(BOB, found.job.id)).state == "cancelled"
        assert ear.heard.is_set()
    assert bell.called_off == []


@pytest.mark.parametrize("who", [EVE, ROOT, BOB])
async def test_who_may_see_a_job(desk, who):
    (found,) = await desk.accept(Sender(ADA), [_job()])
    acts = [desk.full, desk.look, desk.told, desk.cancel, desk.delete]
    if who is EVE:
        for act in [*acts, desk.letter, desk.replay, desk.purge]:
            with pytest.raises(NotFound):
                await act(who, found.job.id)
        assert await desk.listed(who, Filter(), 10) == []
        assert (await desk.look(ADA, found.job.id))[0].state == "queued"
        return
    for act in acts:
        await act(who, found.job.id)
    with pytest.raises(NotFound):
        await desk.full(ADA, found.job.id)


async def test_a_filter_cannot_ask_for_another_owner(desk):
    await desk.accept(Sender(ADA), [_job()])
    assert await desk.listed(EVE, Filter(owner="team:core"), 10) == []
    assert len(await desk.listed(BOB, Filter(owner="key:eve"), 10)) == 1


async def test_a_job_that_waits_can_be_neither_deleted_nor_replayed_nor_purged(desk):
    (found,) = await desk.accept(Sender(ADA), [_job()])
    for act in (desk.delete, desk.replay, desk.purge):
        with pytest.raises(Conflict, match="queued"):
            await act(ADA, found.job.id)
    assert (await desk.look(ADA, found.job.id))[0].state == "queued"


async def test_without_a_ledger_nothing_is_accepted(desk, home, bell):
    await home.ledger.close()
    with pytest.raises(GatemillError) as caught:
        await desk.accept(Sender(ADA), [_job()])
    assert isinstance(caught.value, LedgerUnavailable | Overloaded)
    assert bell.rung == []


async def test_a_thousand_jobs_leave_room_for_others(desk, home):
    desk = Desk(home.jobs.services, Bell(), Terms(1000, 10_000, 10_000), desk._check_url, desk.news)
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    await desk.accept(Sender(ADA), [_job()] * 1000, listed=True)
    task.cancel()
    assert turns >= 20
    assert len(await desk.listed(ADA, Filter(), 1000)) == 1000
