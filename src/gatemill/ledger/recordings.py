"""Requests and their answers, kept for replay. Rule: a recording is never changed, only deleted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import NotFound
from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.clock import Clock
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Writer

DROP_ROWS = 200  # in one transaction: they may have half a MiB each
ROUNDS_MAX = 1_000  # of dropping, in one call
EVER_S = 253_402_300_800.0  # the year 10000

_SQL = queries.load("recordings")


class Listed(Struct, frozen=True, kw_only=True):
    """A recording without its bytes."""

    request_id: str
    at: float  # Unix time of its arrival
    key_id: str
    operation: str
    model: str  # as the caller asked
    streamed: bool
    status: int
    error: str  # public code of its failure; "" for success
    cache: str  # "hit" and the like, where no provider was asked
    size: int  # bytes of all bodies


class Recording(Listed, frozen=True, kw_only=True):
    """A recording, whole."""

    body: bytes  # as the caller sent it
    filled: bytes | None  # with its prompt, its arm and its features, where that changed it
    answer: bytes  # a body, or the events of a stream; empty for a failure


class Sieve(Struct, frozen=True):
    """Which recordings; an empty field lets all of them pass."""

    since_s: float = 0.0  # Unix time
    until_s: float = EVER_S
    key: str = ""
    model: str = ""
    operation: str = ""
    ended: str = ""  # "ok" or "error"


class Recordings:
    """The attribute `recordings` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def keep(self, made: Sequence[Recording]) -> None:
        """All of them are durable."""
        names = _SQL["add_recording"].params
        rows = [tuple(getattr(one, name) for name in names) for one in made]
        await self._writer.share(lambda db: db.run_many(_SQL["add_recording"], rows))

    async def listed(self, sieve: Sieve, limit: int, after: str = "") -> list[Listed]:
        """The newest first, after the id `after`; "" is from the start."""
        wanted = {**msgspec.structs.asdict(sieve), "limit": limit, "after": after}
        found = await self._reader.run(lambda db: db.rows(_SQL["list_recordings"], wanted))
        return [Listed(**_booleans(row)) for row in found]

    async def get(self, request_id: str) -> Recording:
        """One of them. Raises NotFound."""
        wanted = {"request_id": request_id}
        found = await self._reader.run(lambda db: db.rows(_SQL["read_recording"], wanted))
        if not found:
            raise _gone()
        return Recording(**_booleans(found[0]))

    async def delete(self, request_id: str) -> None:
        """It is gone. Raises NotFound."""
        if not await self._drop("drop_recording", {"request_id": request_id}):
            raise _gone()

    async def delete_all(self, sieve: Sieve) -> int:
        """The number of those deleted, which is all that pass."""
        wanted = {**msgspec.structs.asdict(sieve), "limit": DROP_ROWS}
        deleted = 0
        for _ in range(ROUNDS_MAX):
            count = await self._drop("drop_recordings", wanted)
            deleted += count
            if count < DROP_ROWS:
                break
        return deleted

    async def retain(self, keep_s: float, bytes_max: int) -> int:
        """The number of those deleted: too old, and the oldest of those that take too much room."""
        deleted = await self.delete_all(Sieve(until_s=self._clock.unix_s() - keep_s))
        everything = {**msgspec.structs.asdict(Sieve()), "limit": DROP_ROWS}
        for _ in range(ROUNDS_MAX):
            found = await self._reader.run(lambda db: db.rows(_SQL["recorded_bytes"]))
            if int(found[0]["bytes"]) <= bytes_max:
                break
            deleted += await self._drop("drop_recordings", everything)
        return deleted

    async def _drop(self, query: str, params: dict[str, Any]) -> int:
        return await asyncio.wrap_future(
            self._writer.submit(lambda db: db.run(_SQL[query], params))
        )


def _booleans(row: dict[str, Any]) -> dict[str, Any]:
    filled = row.get("filled")
    changed: dict[str, Any] = {name: bytes(row[name]) for name in ("body", "answer") if name in row}
    if filled is not None:
        changed["filled"] = bytes(filled)
    return {**row, "streamed": bool(row["streamed"]), **changed}


def _gone() -> NotFound:
    return NotFound(
        "There is no recording of this request. GET /v1/recordings lists them.", param="request_id"
    )
