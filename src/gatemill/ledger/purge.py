"""Everything that is kept of a key, of a user, or from before a day, deleted.

Rule: content goes, money stays. A purge is many small transactions in a fixed order; cut off anywhere,
it is begun again and goes on where it was. What has not ended stays and is counted. kept.py says what
becomes of each table.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from gatemill.core.errors import NotFound
from gatemill.ledger import audit, queries, rollups
from gatemill.ledger.jobs.changing import delete as delete_jobs
from gatemill.ledger.knowledge import stores

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.writer import Writer

    Work = Callable[[], Awaitable[int]]
    Rows = Sequence[dict[str, Any]]
    Taking = Callable[[Database, Rows], None]

T = TypeVar("T")

ROWS = 500  # of one transaction, where a row is small
WHOLE = 50  # of one transaction, where a row has others below it
ROUND_S = 5.0  # after which `some` returns, whether it is done or not
READERS_S = 0.25  # patience with who reads while the log is to be emptied

_SQL = queries.load("purge")
_ADD_SUMS = queries.load("usage")["add_sums"]
_UNCOUNT = queries.load("outcomes")["uncount_feedback"]


class Whose(Struct, frozen=True):
    """What is purged: exactly one of the three."""

    key: str = ""
    user: str = ""
    before_s: float | None = None  # Unix time


class Purged(Struct):
    """What one round came to."""

    done: bool = True
    rows: Counter[str] = msgspec.field(default_factory=Counter)  # by table
    left: dict[str, int] = {}  # what has not ended, by table; known when it is done
    overwritten: bool = False  # the bytes are gone from the files of the database, too


class Purge:
    """The attribute `purge` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, ledger: Ledger, writer: Writer, clock: Clock) -> None:
        self._ledger = ledger
        self._writer = writer
        self._clock = clock

    async def count(self, whose: Whose) -> Purged:
        """What `some` would delete, and what it would leave. Raises NotFound."""
        found = Purged(rows=Counter(), left=await self._left(whose))
        for table, query, params in await self._places(whose):
            found.rows[table] += await self._number(f"count_{query}", params)
        if whose.before_s is not None:
            cut_s = rollups.midnight_s(min(whose.before_s, self._clock.unix_s() - rollups.DAY_S))
            found.rows["usage"] = await self._number("count_usage_before", {"before_s": cut_s})
        return found

    async def some(self, whose: Whose, actor: str, round_s: float = ROUND_S) -> Purged:
        """A round of it; to be called until it is `done`. Each round is in the audit log.

        Raises NotFound.
        """
        made = Purged()
        ends_s = self._clock.monotonic_s() + round_s
        for table, work in await self._works(whose):
            while count := await work():
                if table:
                    made.rows[table] += count
                if self._clock.monotonic_s() >= ends_s:
                    made.done = False
                    break
            if not made.done:
                break
        if made.done:
            await self._ledger.knowledge.forget_words()
            made.left = await self._left(whose)
            made.overwritten = await self._write(lambda db: db.overwrite(READERS_S))
        await self._note(whose, made, actor)
        return made

    # --- What there is to do ---------------------------------------------------------------------

    async def _works(self, whose: Whose) -> list[tuple[str, Work]]:
        works: list[tuple[str, Work]] = []
        for table, query, params in await self._places(whose):
            work = _BY_ONE.get(table)
            if work is not None:
                works.append((table, partial(self._some_of, work, query, params)))
            elif table != "usage":
                works.append((table, partial(self._drop, f"drop_{query}", params)))
        works += [("", self._swept)]  # the bytes of files, the passages of stores
        if whose.user:
            for key in await self._ids("keys_once_of_user", {"user": whose.user}):
                params = {"key": key, "user": whose.user, "limit": ROWS}
                works.append(("usage", partial(self._drop, "forget_user", params)))
            works.append(("usage_sums", partial(self._forget_sums, whose.user)))
        if whose.before_s is not None:
            works.append(("usage", partial(self._ledger.delete_before, whose.before_s)))
        return works

    async def _places(self, whose: Whose) -> list[tuple[str, str, dict[str, Any]]]:
        """Tables, each with the end of its queries' names and their parameters."""
        if whose.before_s is not None:
            before = {"before_s": whose.before_s}
            return [(table, f"{table}_before", before) for table in _BEFORE]
        found: list[tuple[str, str, dict[str, Any]]] = []
        keys, owners = await self._who(whose)
        for key in keys:
            of_key = _of_key(whose, key)
            found += [(table, f"{table}_of_key", of_key) for table in _OF_KEY]
        for owner in owners:
            found += [(table, f"{table}_of_owner", {"owner": owner}) for table in _OF_OWNER]
        if whose.user:
            named = f'"user":{msgspec.json.encode(whose.user).decode()}'
            of_user = {"user": whose.user, "named": named}
            found += [(table, f"{table}_of_user", of_user) for table in _OF_USER]
        return found

    async def _who(self, whose: Whose) -> tuple[list[str], list[str]]:
        """Keys and owners."""
        if whose.key:
            if not await self._ids("key_is_there", {"key": whose.key}):
                raise NotFound(f"There is no key {whose.key}. GET /api/v1/keys lists them.")
            return [whose.key], [f"key:{whose.key}"]
        keys = await self._ids("keys_of_user", {"user": whose.user})
        return keys, [f"user:{whose.user}", *(f"key:{key}" for key in keys)]

    async def _left(self, whose: Whose) -> dict[str, int]:
        """Jobs that have not ended."""
        if whose.before_s is not None:
            return {}
        keys, owners = await self._who(whose)
        count = 0
        for key in keys:
            count += await self._number("open_jobs_of_key", _of_key(whose, key))
        for owner in owners:
            count += await self._number("open_jobs_of_owner", {"owner": owner})
        return {"jobs": count} if count else {}

    # --- Doing it --------------------------------------------------------------------------------

    async def _some_of(self, work: Taking, query: str, params: dict[str, Any]) -> int:
        wanted = {**params, "limit": WHOLE}

        def take(database: Database) -> int:
            found = database.rows(_SQL[f"find_{query}"], wanted)
            work(database, found)
            return len(found)

        return await self._write(_within(take))

    async def _drop(self, query: str, params: dict[str, Any]) -> int:
        few = {"limit": ROWS, **params}
        return await self._write(lambda db: db.run(_SQL[query], few))

    async def _swept(self) -> int:
        return await self._ledger.files.retain() + await self._ledger.knowledge.retain()

    async def _forget_sums(self, user: str) -> int:
        """Sums of a user become sums of nobody."""

        def move(database: Database) -> int:
            found = database.rows(_SQL["sums_of_user"], {"user": user, "limit": ROWS})
            names = _ADD_SUMS.params
            rows = [tuple({**row, "user_id": ""}[name] for name in names) for row in found]
            database.run_many(_ADD_SUMS, sorted(rows))
            for row in found:
                database.run(_SQL["drop_sum"], row)
            return len(found)

        return await self._write(_within(move))

    async def _note(self, whose: Whose, made: Purged, actor: str) -> None:
        said = {name: value for name, value in msgspec.structs.asdict(whose).items() if value}
        kind = "key" if whose.key else "user" if whose.user else "data"
        detail = {**said, "rows": dict(made.rows), "done": made.done}
        at = self._clock.unix_s()
        entry = audit.Entry(at, actor, "purge", kind, whose.key or whose.user, detail)

        def add(database: Database) -> None:
            with audit.noting(database):
                audit.add(database, entry)

        await self._write(add)

    # --- The database ----------------------------------------------------------------------------

    async def _ids(self, query: str, params: dict[str, Any]) -> list[str]:
        return [row["id"] for row in await self._rows(query, params)]

    async def _rows(self, query: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        return await self._write(lambda db: db.rows(_SQL[query], params))

    async def _number(self, query: str, params: dict[str, Any]) -> int:
        return int((await self._rows(query, params))[0]["rows"])

    async def _write(self, work: Callable[[Database], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(work))


def _of_key(whose: Whose, key: str) -> dict[str, Any]:
    """Parameters for what has a key, where it has none of the owners that are asked for anyway."""
    other = f"user:{whose.user}" if whose.user else ""
    return {"key": key, "own": f"key:{key}", "other": other}


def _within(work: Callable[[Database], T]) -> Callable[[Database], T]:
    def run(database: Database) -> T:
        with database.transaction():
            return work(database)

    return run


# --- Rows that have others below them --------------------------------------------------------------


def _jobs(database: Database, rows: Rows) -> None:
    for row in rows:
        name = f"wh:{row['id']}:"
        wanted = {"owner": row["owner"], "first": name, "last": name[:-1] + ";"}
        told = [notice["id"] for notice in database.rows(_SQL["find_notices"], wanted)]
        delete_jobs(database, [*told, row["id"]])


def _batches(database: Database, rows: Rows) -> None:
    for row in rows:
        database.run(_SQL["drop_batch_results"], row)
        database.run(_SQL["drop_batch"], row)
        for name in ("input_file_id", "output_file_id", "error_file_id"):
            database.run(_SQL["hide_free_file"], {"id": row[name]})


def _files(database: Database, rows: Rows) -> None:
    for row in rows:
        database.run(_SQL["hide_free_file"], row)


def _feedback(database: Database, rows: Rows) -> None:
    for row in rows:
        database.run(_SQL["drop_feedback"], row)
        database.run(_UNCOUNT, row)


def _vector_stores(database: Database, rows: Rows) -> None:
    for row in rows:
        stores.hide(database, row["id"], row["owner"])


_BY_ONE: dict[str, Taking] = {
    "jobs": _jobs,
    "batches": _batches,
    "files": _files,
    "feedback": _feedback,
    "vector_stores": _vector_stores,
}
# In this order: a batch is known by its job, and tells of its files.
_OF_KEY = ("recordings", "idempotency", "feature_log", "sessions", "batches", "jobs")
_OF_OWNER = ("files", "batches", "jobs", "vector_stores")
_OF_USER = (
    *("feature_log", "feature_values", "feature_latest", "feedback", "sessions", "alerts"),
    "usage",
)
_BEFORE = (
    *("recordings", "idempotency", "feature_log", "feature_values", "files", "batches", "jobs"),
)
