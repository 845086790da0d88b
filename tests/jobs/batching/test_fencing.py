"""A batch whose claim has ended, or whose file cannot be read: nothing is written, nothing is left."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from batch_play import handed_in, key_of, line
from crews import working
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.job import Claimed, Full, Problem
from gatemill.jobs.batching.output import assemble
from gatemill.jobs.batching.part import Part
from gatemill.jobs.batching.words import BatchArgs, Span
from gatemill.jobs.context import Context
from gatemill.jobs.eventlog import Lost
from gatemill.jobs.kinds import batch as kind
from gatemill.ledger.queries import literal

CONFIG = '[models.fast]\ntargets = ["echo/echo"]\n'
FILES = literal("files", "SELECT count(*) AS rows FROM files")


@pytest.fixture
async def services(tmp_path):
    async with working(tmp_path, CONFIG, starts=False) as site:
        yield site.services


async def late(services, lines, **changes):
    """A batch, and its job as somebody runs it who has no claim to it."""
    key = await key_of(services)
    batch = await handed_in(services, key, lines)
    full = await services.ledger.jobs.get(batch.job_id, None)
    job = msgspec.structs.replace(full.job, key_id=key.id, **changes)
    return batch, Context(Claimed(job, full.args, "stale"), services)


def part_of(ctx, state, error=None):
    said = None if error is None else msgspec.json.encode(error)
    return Full(msgspec.structs.replace(ctx.job, state=state, error=said), b"{}", None, None)


async def rows(services):
    return (await services.ledger._job_reader.run(lambda db: db.rows(FILES)))[0]["rows"]


@pytest.mark.parametrize(("lines", "parts"), [([b"bad"], 0), ([line("a")], 0), ([line("a")], 1)])
async def test_without_the_claim_a_batch_stays_as_it_is(services, lines, parts):
    batch, ctx = await late(services, lines, parts=parts)
    with pytest.raises(Lost):
        await kind.run(ctx, BatchArgs(batch.id, ""))
    assert await services.ledger.batches.get(batch.id, "") == batch


async def test_files_that_nobody_will_see_are_deleted_at_once(services):
    batch, ctx = await late(services, [line("a"), line("b")])
    dead = part_of(ctx, "dead", Problem("worker_lost", "Its workers died."))
    with pytest.raises(Lost):
        await assemble(ctx, batch, [(Span(1, 1, 0), dead), (Span(2, 2, 0), part_of(ctx, "dead"))])
    assert await rows(services) == 1


async def test_a_batch_that_has_ended_is_left_alone(services):
    batch, ctx = await late(services, [line("a")])
    await services.ledger.jobs.cancel(batch.job_id, None)
    await services.ledger.batches.retain()
    said = await kind.run(ctx, BatchArgs(batch.id, ""))
    assert said == {"batch_id": batch.id, "status": "cancelled"}


async def test_a_part_without_the_claim_stops_asking(services):
    batch, ctx = await late(services, [line(f"id-{number}") for number in range(500)])
    with pytest.raises(Lost):
        await Part(ctx, batch, Span(1, 500, 0)).run()
    assert not await services.ledger.batches.known_lines(batch.id, 1, 500)


async def test_a_file_that_cannot_be_read_ends_the_attempt(services):
    batch, ctx = await late(services, [line("a")])

    async def content(_file_id, _first):
        yield b'{"custom_id": '
        raise LedgerUnavailable("away")

    files = SimpleNamespace(content=content)
    ledger = SimpleNamespace(batches=services.ledger.batches, files=files)
    ctx.services = msgspec.structs.replace(services, ledger=ledger)
    with pytest.raises(LedgerUnavailable):
        await Part(ctx, batch, Span(1, 1, 0)).run()
