"""Where callers hand in batches and stop them. Rule: a batch and its job are accepted together, or neither."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import InvalidValue
from gatemill.core.job import owner_of
from gatemill.jobs.batching.words import BATCH, BatchArgs
from gatemill.jobs.making import new_job
from gatemill.jobs.submission import Metadata
from gatemill.ledger.batches import NewBatch
from gatemill.wire.batch import ENDPOINTS

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.job import NewJob
    from gatemill.jobs.services import Services
    from gatemill.ledger.batches import Batch

WINDOW_S = 86_400.0
KEEP_S = (3_600, 2_592_000)  # how long a caller may keep a file by `expires_after`
PAIRS_MAX = 16  # of metadata, as OpenAI has it
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class ExpiresAfter(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a file stays."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=KEEP_S[0], le=KEEP_S[1])]


class Wanted(Struct, frozen=True):
    """A batch as it is asked for."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None


def check(wanted: Wanted) -> None:
    """Raises InvalidValue for an endpoint that we do not have, and too much metadata."""
    if wanted.endpoint not in ENDPOINTS:
        raise InvalidValue(f"`endpoint`: send one of {', '.join(ENDPOINTS)}.", param="endpoint")
    if wanted.metadata is not None and len(wanted.metadata) > PAIRS_MAX:
        raise InvalidValue(f"`metadata`: send at most {PAIRS_MAX} pairs.", param="metadata")


async def create(
    services: Services, key: Key, wanted: Wanted, idempotency_key: str = ""
) -> tuple[Batch, NewJob | None]:
    """The batch, durable, and its job; None when it was there, made with this Idempotency-Key.

    Raises InvalidValue, NotFound, RateLimited, IdempotencyKeyReused.
    """
    check(wanted)
    if idempotency_key and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise InvalidValue(
            "`Idempotency-Key`: send 1 to 255 printable ASCII characters.", param="Idempotency-Key"
        )
    job_id, now_s = services.new_id(), services.clock.unix_s()
    batch_id = f"batch_{job_id.removeprefix('job_')}"
    expires = wanted.output_expires_after
    new = NewBatch(
        id=batch_id,
        job_id=job_id,
        owner=owner_of(key),
        endpoint=wanted.endpoint,
        input_file_id=wanted.input_file_id,
        completion_window=wanted.completion_window,
        metadata=msgspec.json.encode(wanted.metadata or {}).decode(),
        output_keep_s=services.amounts.file_keep_s if expires is None else float(expires.seconds),
        idempotency_key=idempotency_key,
        fingerprint=sha256(msgspec.json.encode(wanted)).hexdigest(),
        created_at=now_s,
        expires_at=now_s + WINDOW_S,
    )
    args = msgspec.json.encode(BatchArgs(batch_id, key.id))
    job = new_job(services, BATCH, args, owner=new.owner, key_id="", id=job_id)
    batch, created = await services.ledger.batches.create(new, job)
    return batch, job if created else None


async def cancel(services: Services, key: Key, batch_id: str) -> Batch:
    """The batch, which stops: what is known by now will be its output. Raises NotFound and Conflict."""
    ledger = services.ledger
    batch = await ledger.batches.cancel(batch_id, owner_of(key))
    await ledger.jobs.cancel_parts(batch.job_id)
    return batch
