"""Files that callers upload and batches make. Rule: nobody sees a file before it is complete.

Bytes come and go in pieces, each in a transaction of its own: a large file never holds up the writer
and is never in memory as a whole.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, NotFound, RequestTooLarge
from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.queries import Query
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Share

CHUNK_BYTES = 256 << 10
WRITE_CHUNKS = 4  # in one transaction: 1 MiB
READ_CHUNKS = 4  # at a time: 1 MiB
DROP_CHUNKS = 40  # in one transaction: 10 MiB
SWEEP_FILES = 100  # looked at in one round of `retain`
UNFINISHED_S = 3_600.0  # an upload that is silent for so long has broken off

_SQL = queries.load("files")
_BEGIN = _SQL["begin_file"]
_TOUCH = _SQL["touch_file"]
_ADD = _SQL["add_chunk"]
_FINISH = _SQL["finish_file"]
_READ = _SQL["read_file"]
_LOCK = _SQL["lock_file"]
_NEWEST = _SQL["newest_files"]
_OLDEST = _SQL["oldest_files"]
_OWNED = _SQL["owned_bytes"]
_CHUNKS = _SQL["read_chunks"]
_IN_USE = _SQL["file_in_use"]
_HIDE = _SQL["hide_file"]
_ABANDON = _SQL["abandon_file"]
_EXPIRED = _SQL["expired_files"]
_UNFINISHED = _SQL["unfinished_files"]
_DROP_CHUNKS = _SQL["drop_chunks"]
_DROP = _SQL["drop_file"]


class File(Struct, frozen=True):
    """A complete file, without its bytes."""

    id: str
    owner: str
    purpose: str
    filename: str
    bytes: int
    created_at: float  # Unix time
    expires_at: float | None  # Unix time; None: it stays


class Label(Struct, frozen=True):
    """What makes bytes a file."""

    purpose: str
    filename: str
    keep_s: float | None  # from its completion; None: it stays


class Draft:
    """A file on its way in. Belongs to one task; nobody else sees it."""

    def __init__(self, share: Share, clock: Clock, whose: tuple[str, str, int | None]) -> None:
        """`whose` are the file's id, its owner, and what all files of the owner may hold."""
        self.id, self.owner, self._owner_bytes_max = whose
        self.bytes = 0  # so far
        self._share = share
        self._clock = clock
        self._waiting = bytearray()
        self._number = 0  # of the next piece

    async def write(self, data: bytes) -> None:
        """More bytes. Raises RequestTooLarge, and NotFound when the file is gone."""
        self.bytes += len(data)
        self._waiting += data
        if len(self._waiting) >= WRITE_CHUNKS * CHUNK_BYTES:
            whole = len(self._waiting) // CHUNK_BYTES * CHUNK_BYTES
            await self._keep(bytes(self._waiting[:whole]))
            del self._waiting[:whole]

    async def flush(self) -> None:
        """All bytes are durable, and there will be no more. Raises as `write`."""
        if self._waiting:
            await self._keep(bytes(self._waiting))
            self._waiting.clear()

    async def _keep(self, data: bytes) -> None:
        cuts = range(0, len(data), CHUNK_BYTES)
        rows = [
            (self.id, self._number + number, data[at : at + CHUNK_BYTES])
            for number, at in enumerate(cuts)
        ]
        touch = {"id": self.id, "bytes": len(data), "now_s": self._clock.unix_s()}

        def add(database: Database) -> None:
            if not database.run(_TOUCH, touch):
                raise gone()
            _check_room(database, self.owner, self._owner_bytes_max)
            database.run_many(_ADD, rows)

        await self._share(add)
        self._number += len(rows)


class Files:
    """The attribute `files` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, share: Share, reader: Reader, clock: Clock) -> None:
        self._share = share
        self._reader = reader
        self._clock = clock

    # --- Making one ------------------------------------------------------------------------------

    async def begin(self, file_id: str, owner: str, owner_bytes_max: int | None) -> Draft:
        """A file without bytes. Raises RequestTooLarge when the owner's files hold so many already."""
        row = {"id": file_id, "owner": owner, "now_s": self._clock.unix_s()}

        def begin(database: Database) -> None:
            _check_room(database, owner, owner_bytes_max)
            database.run(_BEGIN, row)

        await self._share(begin)
        return Draft(self._share, self._clock, (file_id, owner, owner_bytes_max))

    async def finish(self, draft: Draft, label: Label) -> File:
        """The file, complete and durable. Raises RequestTooLarge, and NotFound when it is gone."""
        await draft.flush()
        now_s = self._clock.unix_s()

        def finish(database: Database) -> None:
            finished(database, draft.id, label, now_s)

        await self._share(finish)
        return await self.get(draft.id, draft.owner)

    async def abandon(self, file_id: str) -> None:
        """An unfinished file is gone; a complete one stays."""
        await self._share(lambda db: db.run(_ABANDON, {"id": file_id}))
        await self._clear(file_id)

    # --- Looking ---------------------------------------------------------------------------------

    async def get(self, file_id: str, owner: str) -> File:
        """A file of this owner. Raises NotFound."""
        wanted = {"id": file_id, "owner": owner, "now_s": self._clock.unix_s()}
        found = await self._reader.run(lambda db: db.rows(_READ, wanted))
        if not found:
            raise gone()
        return msgspec.convert(found[0], File)

    async def listed(
        self, owner: str, purpose: str, limit: int, after: str, *, oldest_first: bool = False
    ) -> list[File]:
        """Files of this owner, after the id `after`; "" is from the start, or of any purpose."""
        wanted = {
            "owner": owner,
            "purpose": purpose,
            "limit": limit,
            "after": after,
            "now_s": self._clock.unix_s(),
        }
        query = _OLDEST if oldest_first else _NEWEST
        found = await self._reader.run(lambda db: db.rows(query, wanted))
        return msgspec.convert(found, list[File])

    async def content(self, file_id: str, first: int = 0) -> AsyncGenerator[bytes, None]:
        """The bytes of a file from piece `first` on; ends early when the file is deleted meanwhile."""
        while True:
            wanted = {"file_id": file_id, "first": first, "limit": READ_CHUNKS}
            found = await self._reader.run(partial(_rows, _CHUNKS, wanted))
            for row in found:
                yield bytes(row["data"])
            first += len(found)
            if len(found) < READ_CHUNKS:
                return

    # --- Deleting --------------------------------------------------------------------------------

    async def delete(self, file_id: str, owner: str) -> None:
        """A file of this owner is gone. Raises NotFound, and Conflict while a batch reads it."""
        wanted = {"id": file_id, "owner": owner, "now_s": self._clock.unix_s()}

        def hide(database: Database) -> None:
            if not database.rows(_LOCK, wanted):
                raise gone()
            if database.rows(_IN_USE, wanted):
                raise Conflict(
                    "A batch that has not ended reads this file. Cancel the batch, or wait.",
                    param="file_id",
                )
            database.run(_HIDE, wanted)

        await self._share(hide)
        await self._clear(file_id)

    async def retain(self) -> int:
        """The number of files deleted: expired ones, and uploads that broke off. At most 200."""
        now_s = self._clock.unix_s()

        def hide(database: Database) -> None:
            for row in database.rows(_EXPIRED, {"now_s": now_s, "limit": SWEEP_FILES}):
                database.run(_HIDE, row)

        await self._share(hide)
        unfinished = {"before_s": now_s - UNFINISHED_S, "limit": 2 * SWEEP_FILES}
        found = await self._reader.run(lambda db: db.rows(_UNFINISHED, unfinished))
        for row in found:
            await self._clear(row["id"])
        return len(found)

    async def _clear(self, file_id: str) -> None:
        few = {"file_id": file_id, "limit": DROP_CHUNKS}
        while await self._share(lambda db: db.run(_DROP_CHUNKS, few)) == DROP_CHUNKS:
            pass
        await self._share(lambda db: db.run(_DROP, {"id": file_id}))


def finished(database: Database, file_id: str, label: Label, now_s: float) -> None:
    """The file is complete once the transaction is. Raises NotFound when it is gone."""
    row = {
        "id": file_id,
        "purpose": label.purpose,
        "filename": label.filename,
        "now_s": now_s,
        "expires_at": None if label.keep_s is None else now_s + label.keep_s,
    }
    if not database.run(_FINISH, row):
        raise gone()


def _rows(query: Query, params: dict[str, Any], database: Database) -> list[dict[str, Any]]:
    return database.rows(query, params)


def _check_room(database: Database, owner: str, bytes_max: int | None) -> None:
    """Raises RequestTooLarge when the owner's files hold more than `bytes_max`; None lets all pass."""
    if bytes_max is None:
        return
    if int(database.rows(_OWNED, {"owner": owner})[0]["bytes"]) > bytes_max:
        raise RequestTooLarge(
            "Your files hold as many bytes as they may (files.bytes_max_per_owner). Delete some.",
            param="file",
        )


def gone() -> NotFound:
    """What is said of a file that is not there, or not the caller's."""
    return NotFound("There is no file with this id. GET /v1/files lists yours.", param="file_id")
