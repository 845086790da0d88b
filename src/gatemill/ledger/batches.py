"""Batches: what is asked, how far it is, what became of each line.

Rule: a batch ends once. Whatever its job writes is fenced by the job's claim, and results and their
counts change in one transaction, so that counts never fall and no line is counted twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, IdempotencyKeyReused, NotFound, RateLimited
from gatemill.core.job import Problem
from gatemill.ledger import files, queries
from gatemill.ledger.jobs import inserting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.job import Claimed, NewJob
    from gatemill.ledger.database import Database
    from gatemill.ledger.files import Label
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Writer

T = TypeVar("T")

OPEN_MAX = 1_000  # batches of one owner that have not ended
DROP_RESULTS = 500  # in one transaction
SWEEP_BATCHES = 100  # looked at in one round of `retain`

_SQL = queries.load("batches")
_FILE = queries.load("files")["lock_file"]
_USAGE = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


class Tokens(Struct, frozen=True):
    """What answers used, as OpenAI counts: `input` holds `cached`, `output` holds `reasoning`."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


class LineProblem(Problem, frozen=True, omit_defaults=True, kw_only=True):
    """What is wrong with a file, and in which line."""

    line: int | None = None  # from 1


class NewBatch(Struct, frozen=True, kw_only=True):
    """A batch that nobody has accepted yet."""

    id: str
    job_id: str
    owner: str
    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: str  # JSON of the caller's
    output_keep_s: float  # how long its output files stay
    idempotency_key: str  # "" when there is none
    fingerprint: str  # of what was asked
    created_at: float  # Unix time
    expires_at: float  # Unix time; lines that have not begun by then expire


class Batch(NewBatch, frozen=True, kw_only=True):
    """A batch as it was read. Times are Unix seconds."""

    status: str  # OpenAI's words
    errors: str  # JSON of LineProblems: why the file is unusable
    output_file_id: str
    error_file_id: str
    total: int
    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_microusd: int | None  # when it has ended; None then: some price is unknown
    in_progress_at: float | None
    finalizing_at: float | None
    cancelling_at: float | None
    ended_at: float | None
    keep_until: float | None


class LineResult(Struct, frozen=True):
    """What became of a line."""

    line: int  # of the input file, from 1
    succeeded: bool
    data: bytes  # a line of the output or the error file
    tokens: Tokens = Tokens()


class End(Struct, frozen=True, kw_only=True):
    """How a batch ends."""

    status: str  # completed, failed, expired or cancelled
    errors: Sequence[LineProblem] = ()
    output_file_id: str = ""
    error_file_id: str = ""
    failed: int = 0
    cost_microusd: int | None = None
    keep_s: float  # how long it can be read after its end


class Batches:
    """The attribute `batches` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._submit = writer.submit
        self._reader = reader
        self._clock = clock

    # --- For callers -----------------------------------------------------------------------------

    async def create(self, new: NewBatch, job: NewJob) -> tuple[Batch, bool]:
        """The batch, durable together with its job; False: it was there, with this Idempotency-Key.

        Raises NotFound for an input file that the owner does not have, RateLimited for more than
        `OPEN_MAX` open batches, IdempotencyKeyReused.
        """
        row = msgspec.structs.asdict(new)

        def create(database: Database) -> tuple[Batch, bool]:
            if new.idempotency_key and (found := database.rows(_SQL["read_once"], row)):
                return _repeated(found[0], new), False
            wanted = {"id": new.input_file_id, "owner": new.owner, "now_s": new.created_at}
            if not database.rows(_FILE, wanted):
                raise NotFound(
                    "There is no such file. Upload it with POST /v1/files.", param="input_file_id"
                )
            if database.rows(_SQL["count_open"], row)[0]["batches"] >= OPEN_MAX:
                raise RateLimited(
                    f"{OPEN_MAX} of your batches have not ended. Cancel some, or wait.",
                    retry_after_s=60.0,
                )
            if not database.run(_SQL["insert_batch"], row):
                return _repeated(database.rows(_SQL["read_once"], row)[0], new), False
            inserting.insert(database, job, new.created_at)
            return _batch(database.rows(_SQL["read_batch"], row)[0]), True

        return await self._write(create)

    async def get(self, batch_id: str, owner: str) -> Batch:
        """A batch of this owner; "" is any. Raises NotFound."""
        wanted = {"id": batch_id, "owner": owner}
        found = await self._reader.run(lambda db: db.rows(_SQL["read_batch"], wanted))
        if not found:
            raise _gone()
        return _batch(found[0])

    async def listed(self, owner: str, limit: int, after: str) -> list[Batch]:
        """Batches of this owner, the newest first, after the id `after`."""
        wanted = {"owner": owner, "limit": limit, "after": after}
        found = await self._reader.run(lambda db: db.rows(_SQL["list_batches"], wanted))
        return [_batch(row) for row in found]

    async def cancel(self, batch_id: str, owner: str) -> Batch:
        """The batch, which stops, or has stopped. Raises NotFound, and Conflict when it is too late.

        The caller of this cancels the parts of its job.
        """
        wanted = {"id": batch_id, "owner": owner, "now_s": self._clock.unix_s()}

        def cancel(database: Database) -> Batch:
            if found := database.rows(_SQL["cancel_batch"], wanted):
                return _batch(found[0])
            found = database.rows(_SQL["read_batch"], wanted)
            if not found:
                raise _gone()
            if found[0]["status"] not in ("cancelling", "cancelled"):
                raise Conflict(
                    f"This batch is {found[0]['status']}; it cannot be cancelled any more.",
                    param="batch_id",
                )
            return _batch(found[0])

        return await self._write(cancel)

    # --- For its job -----------------------------------------------------------------------------

    async def begin(self, claimed: Claimed, batch_id: str, total: int) -> bool:
        """The lines are counted; False: the claim has ended, and nothing was written."""
        row = {"id": batch_id, "total": total, "now_s": self._clock.unix_s()}
        return await self._fenced(claimed, lambda db: db.run(_SQL["begin_batch"], row))

    async def known_lines(self, batch_id: str, first: int, last: int) -> frozenset[int]:
        """The lines from `first` to `last` whose results are known."""
        wanted = {"batch_id": batch_id, "first": first, "last": last}
        found = await self._reader.run(lambda db: db.rows(_SQL["known_lines"], wanted))
        return frozenset(row["line"] for row in found)

    async def save(self, claimed: Claimed, batch_id: str, results: Sequence[LineResult]) -> bool:
        """The results are durable and counted, each once; False: the claim has ended."""
        lines = [result.line for result in results]
        among = {"batch_id": batch_id, "first": min(lines), "last": max(lines)}

        def save(database: Database) -> None:
            known = {row["line"] for row in database.rows(_SQL["known_lines"], among)}
            new = [result for result in results if result.line not in known]
            rows = [(batch_id, each.line, each.succeeded, each.data) for each in new]
            database.run_many(_SQL["add_result"], rows)
            database.run(_SQL["count_results"], {"id": batch_id, **_sums(new)})

        return await self._fenced(claimed, save)

    async def results(
        self, batch_id: str, first: int, last: int, limit: int
    ) -> list[tuple[int, bool, bytes]]:
        """Known results of the lines from `first` to `last`, in order: line, succeeded, data."""
        wanted = {"batch_id": batch_id, "first": first, "last": last, "limit": limit}
        found = await self._reader.run(lambda db: db.rows(_SQL["read_results"], wanted))
        return [(row["line"], bool(row["succeeded"]), bytes(row["data"])) for row in found]

    async def finalize(self, claimed: Claimed, batch_id: str) -> bool:
        """The output is being made, and the batch cannot be cancelled any more; as `begin`."""
        row = {"id": batch_id, "now_s": self._clock.unix_s()}
        return await self._fenced(claimed, lambda db: db.run(_SQL["finalize_batch"], row))

    async def end(
        self, claimed: Claimed, batch_id: str, end: End, labels: Sequence[tuple[str, Label]] = ()
    ) -> bool:
        """The batch has ended and its files are there: id and label of each; as `begin`."""
        now_s = self._clock.unix_s()
        row = {
            "id": batch_id,
            **msgspec.structs.asdict(end),
            "errors": msgspec.json.encode(end.errors).decode(),
            "now_s": now_s,
            "keep_until": now_s + end.keep_s,
        }

        def finish(database: Database) -> None:
            if database.run(_SQL["end_batch"], row):
                for file_id, label in labels:
                    files.finished(database, file_id, label, now_s)

        return await self._fenced(claimed, finish)

    async def forget_results(self, batch_id: str) -> None:
        """The single results of a batch that has ended are gone: its files have them."""
        few = {"batch_id": batch_id, "limit": DROP_RESULTS}
        while await self._write(lambda db: db.run(_SQL["drop_results"], few)) == DROP_RESULTS:
            pass

    async def _fenced(self, claimed: Claimed, work: Any) -> bool:
        fence = {"job_id": claimed.job.id, "claim": claimed.claim}

        def fenced(database: Database) -> bool:
            if not database.rows(_SQL["claim_holds"], fence):
                return False
            work(database)
            return True

        return await self._write(fenced)

    # --- Housekeeping ----------------------------------------------------------------------------

    async def retain(self) -> int:
        """The number of batches ended because their job was gone, and of those deleted for age.

        Any process may call it at any time.
        """
        now_s = self._clock.unix_s()

        def sweep(database: Database) -> int:
            orphans = database.rows(_SQL["orphans"], {"limit": SWEEP_BATCHES})
            for orphan in orphans:
                ended = {"id": orphan["id"], "now_s": now_s}
                database.run(_SQL["orphan_batch"], ended | _fate(orphan["state"]))
            old = {"now_s": now_s, "limit": SWEEP_BATCHES}
            return len(orphans) + database.run(_SQL["drop_batches"], old)

        swept = await self._write(sweep)
        few = {"limit": SWEEP_BATCHES}
        left = await self._reader.run(lambda db: db.rows(_SQL["ended_with_results"], few))
        for row in left:
            await self.forget_results(row["id"])
        return swept

    async def _write(self, work: Callable[[Database], T]) -> T:
        # A transaction of its own: several batches in one would be locked in any order.
        def run(database: Database) -> T:
            with database.transaction():
                return work(database)

        return await asyncio.wrap_future(self._submit(run))


def _repeated(row: dict[str, Any], new: NewBatch) -> Batch:
    if row["fingerprint"] != new.fingerprint:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with another batch. Use a new one.",
            param="Idempotency-Key",
        )
    return _batch(row)


def _batch(row: dict[str, Any]) -> Batch:
    return msgspec.convert(row, Batch)


def _sums(results: Sequence[LineResult]) -> dict[str, int]:
    completed = sum(result.succeeded for result in results)
    sums = {"completed": completed, "failed": len(results) - completed}
    for name in _USAGE:
        field = name.removesuffix("_tokens")
        sums[name] = sum(getattr(result.tokens, field) for result in results)
    return sums


def _fate(state: str | None) -> dict[str, str]:
    """What an open batch becomes whose job ended in this state; None: it is not there any more."""
    if state == "cancelled":
        return {"status": "cancelled", "errors": "[]"}
    problem = LineProblem(
        code="batch_failed", message="The job of this batch came to no end. Create the batch again."
    )
    return {"status": "failed", "errors": msgspec.json.encode([problem]).decode()}


def _gone() -> NotFound:
    return NotFound(
        "There is no batch with this id. GET /v1/batches lists yours.", param="batch_id"
    )
