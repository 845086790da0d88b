"""Batches for tests of whatever runs them: hand one in, wait for its end, read what it made."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from gatemill.core.job import Ring, owner_of
from gatemill.jobs.batching import desk
from gatemill.ledger.files import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.call import Key
    from gatemill.jobs.services import Services
    from gatemill.ledger.batches import Batch

CHAT = "/v1/chat/completions"
PATIENCE_S = 90.0


def line(custom_id: str, model: str = "fast", text: str = "hi", **body: Any) -> dict[str, Any]:
    """A good line."""
    turn = {"role": "user", "content": text}
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": CHAT,
        "body": {"model": model, "messages": [turn], **body},
    }


def jsonl(lines: Sequence[Any]) -> bytes:
    """The lines as a file; those that are bytes stand as they are."""
    return b"".join(
        (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines
    )


async def key_of(services: Services, name: str = "batcher", **more: Any) -> Key:
    """A new key."""
    return (await services.ledger.create_key(name, **more)).key


async def uploaded(services: Services, key: Key, data: bytes) -> str:
    """The id of a file with these bytes."""
    file_id = f"file-{services.new_id()}"
    draft = await services.ledger.files.begin(file_id, owner_of(key), None)
    await draft.write(data)
    return (await services.ledger.files.finish(draft, Label("batch", "in.jsonl", None))).id


async def handed_in(
    services: Services, key: Key, lines: Sequence[Any], endpoint: str = CHAT
) -> Batch:
    """A batch that was accepted; workers were told."""
    file_id = await uploaded(services, key, jsonl(lines))
    wanted = desk.Wanted(file_id, endpoint, "24h")
    batch, job = await desk.create(services, key, wanted)
    assert job is not None
    await services.bell.ring([Ring(job.id, job.queue, job.priority)])
    return batch


async def reached(
    services: Services,
    batch: Batch,
    holds: Callable[[Batch], Any],
    patience_s: float = PATIENCE_S,
) -> Batch:
    """The batch, once this holds."""
    given_up_s = time.monotonic() + patience_s
    while True:
        batch = await services.ledger.batches.get(batch.id, "")
        if holds(batch):
            return batch
        assert time.monotonic() < given_up_s, f"{batch.status}: {batch.completed}/{batch.total}"
        await asyncio.sleep(0.01)


async def ended(services: Services, batch: Batch, patience_s: float = PATIENCE_S) -> Batch:
    """The batch, which has ended."""
    return await reached(services, batch, lambda one: one.ended_at is not None, patience_s)


async def made(services: Services, file_id: str) -> list[Any]:
    """The lines of a file that a batch made; none where it made none."""
    data = b"".join([piece async for piece in services.ledger.files.content(file_id)])
    return [json.loads(one) for one in data.splitlines()]


async def files_of(services: Services, batch: Batch) -> list[list[Any]]:
    """What stands in the output and in the error file."""
    return [
        await made(services, file_id) if file_id else []
        for file_id in (batch.output_file_id, batch.error_file_id)
    ]


def ids(lines: Sequence[Any]) -> list[str]:
    """The custom ids of lines, in their order."""
    return [one["custom_id"] for one in lines]
