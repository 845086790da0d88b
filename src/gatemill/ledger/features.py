"""Feature sets, their values now and at any moment, and what requests were given.

Rule: the latest event wins, however late its value comes. What was written stays in the history, so
that a model learns from what could be known at the time and from nothing later.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, NotFound
from gatemill.ledger import queries, revisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Writer

T = TypeVar("T")

ROOM = "features"
SETS_MAX = 200
DROP_ROWS = 1_000  # in one transaction
ROUNDS_MAX = 100  # of dropping, in one call of `retain`
EVER_S = 253_402_300_800.0  # the year 10000
_READ_ROWS = 200  # values of the past, in one turn of the thread

_SQL = queries.load("features")


class Feature(Struct, frozen=True):
    """One feature of a set."""

    name: str
    type: str  # "string", "number", "boolean"
    default: str | float | bool | None = None  # where nothing is known
    ttl_s: float | None = None  # a value is too old this long after its event; None: never
    ref: str = ""  # what a feature server calls it: "view:name"


class Set(Struct, frozen=True):
    """Features that belong to one kind of entity."""

    name: str
    entity: str
    features: tuple[Feature, ...]
    trusted: bool = False  # callers may not say other values
    source: str = "local"  # or "feast"
    join_key: str = ""  # what a feature server calls the entity's key
    created_at: float = 0.0  # Unix time
    updated_at: float = 0.0


class Value(Struct, frozen=True):
    """What is known of one feature of one entity. Times are Unix seconds."""

    value: Any
    event_at: float
    written_at: float


class Written(Struct, frozen=True):
    """A value to write."""

    entity: str
    key: str
    name: str
    event_at: float
    value: str | float | bool | None


class Given(Struct, frozen=True):
    """What a request was given."""

    request_id: str
    at: float  # Unix time
    key_id: str
    operation: str
    model: str
    sets: tuple[str, ...]
    entities: dict[str, str]
    given: dict[str, Any]  # "user.tier" -> value


Pair = tuple[str, str]  # entity, key


class Features:
    """The attribute `features` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, writer: Writer, readers: tuple[Reader, Reader], clock: Clock) -> None:
        """`readers` are the one for requests that wait, and the one for those who have time."""
        self._writer = writer
        self._quick, self._patient = readers
        self._clock = clock

    # --- Sets --------------------------------------------------------------------------------------

    async def sets(self) -> list[Set]:
        """All of them, by name."""
        found = await self._patient.run(lambda db: db.rows(_SQL["list_sets"], {"limit": SETS_MAX}))
        return [_set(row) for row in found]

    async def put(self, wanted: Set) -> tuple[Set, bool]:
        """The set is as it is said here, in every process within a second; True: it is new.

        Raises Conflict when another set of the entity has one of the features, or there are
        `SETS_MAX` sets.
        """
        now_s = self._clock.unix_s()

        def put(database: Database) -> tuple[Set, bool]:
            with database.transaction():
                revisions.bump(database, ROOM)  # first: on Postgres it is the lock
                known = {one.name: one for one in _sets(database)}
                old = known.pop(wanted.name, None)
                _check(wanted, known.values())
                made = msgspec.structs.replace(
                    wanted, created_at=now_s if old is None else old.created_at, updated_at=now_s
                )
                database.run(_SQL["put_set"], _row(made))
            return made, old is None

        return await self._do(put)

    async def delete(self, name: str) -> None:
        """The set is gone, and so are its values. Raises NotFound."""

        def delete(database: Database) -> Set:
            with database.transaction():
                revisions.bump(database, ROOM)
                found = next((one for one in _sets(database) if one.name == name), None)
                if found is None:
                    raise NotFound(
                        "There is no feature set of this name. GET /v1/feature_sets lists them.",
                        param="name",
                    )
                database.run(_SQL["delete_set"], {"name": name})
            return found

        gone = await self._do(delete)
        for feature in gone.features:
            one = {"entity": gone.entity, "name": feature.name, "limit": DROP_ROWS}
            for query in (_SQL["drop_latest"], _SQL["drop_history"]):
                await self._drop(query, one, None)

    # --- Values ------------------------------------------------------------------------------------

    async def write(self, values: Sequence[Written]) -> float:
        """All of them are durable, or none; the Unix time as of which they are known."""
        now_s = self._clock.unix_s()
        rows, latest = _rows(values, now_s)

        def write(database: Database) -> None:
            database.run_many(_SQL["add_value"], rows)
            database.run_many(_SQL["raise_latest"], latest)

        await self._writer.share(write)
        return now_s

    async def latest(self, pairs: Sequence[Pair]) -> dict[Pair, dict[str, Value]]:
        """What is known now of each (entity, key), by the feature's name."""

        def read(database: Database) -> dict[Pair, dict[str, Value]]:
            return {pair: _latest(database, pair) for pair in pairs}

        return await self._quick.run(read)

    async def at(
        self, asked: Sequence[tuple[Pair, str]], as_of_s: float, known_by_s: float
    ) -> dict[tuple[Pair, str], Value]:
        """The value of each feature of an (entity, key) that held at one moment.

        Only what had been written by `known_by_s` counts. What nobody knows is left out.
        """
        found: dict[tuple[Pair, str], Value] = {}
        moments = {"as_of": as_of_s, "known_by": known_by_s}

        for first in range(0, len(asked), _READ_ROWS):
            some = asked[first : first + _READ_ROWS]
            found |= await self._patient.run(partial(_at, asked=some, moments=moments))
        return found

    # --- What requests were given ------------------------------------------------------------------

    async def log(self, rows: Sequence[Given]) -> None:
        """All of them are durable."""
        told = [
            (
                *(row.request_id, row.at, row.key_id, row.operation, row.model),
                f",{','.join(row.sets)},",
                msgspec.json.encode(row.entities).decode(),
                msgspec.json.encode(row.given).decode(),
            )
            for row in rows
        ]
        await self._writer.share(lambda db: db.run_many(_SQL["add_log"], told))

    async def logged(
        self, since_s: float, until_s: float, name: str, limit: int, after: str
    ) -> list[Given]:
        """What requests were given between two moments, the newest first, after the id `after`.

        `name` is that of a set, "" for any.
        """
        wanted = {
            "since_s": since_s,
            "until_s": until_s,
            "wanted": f",{name}," if name else "",
            "limit": limit,
            "after": after,
        }
        found = await self._patient.run(lambda db: db.rows(_SQL["list_log"], wanted))
        for row in found:
            row["sets"] = row["sets"].strip(",").split(",")
            row["entities"] = msgspec.json.decode(row["entities"])
            row["given"] = msgspec.json.decode(row["given"])
        return msgspec.convert(found, list[Given])

    async def retain(self, history_s: float, log_s: float, log_rows_max: int) -> int:
        """The number of rows deleted: values of the past, and entries of the log, that are too old."""
        now_s = self._clock.unix_s()
        old = {"before_s": now_s - history_s, "limit": DROP_ROWS}
        deleted = await self._drop(_SQL["drop_old_values"], old, ROUNDS_MAX)
        most = {"most": log_rows_max}
        edge = await self._patient.run(lambda db: db.rows(_SQL["log_edge"], most))
        before_s = max([now_s - log_s, *(row["at"] for row in edge)])
        old = {"before_s": before_s, "limit": DROP_ROWS}
        return deleted + await self._drop(_SQL["drop_log"], old, ROUNDS_MAX)

    async def _drop(
        self, query: queries.Query, params: dict[str, Any], rounds_max: int | None
    ) -> int:
        deleted = rounds = 0
        while rounds_max is None or rounds < rounds_max:
            count = await self._do(lambda db: db.run(query, params))
            deleted += count
            rounds += 1
            if count < DROP_ROWS:
                break
        return deleted

    async def _do(self, work: Callable[[Database], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(work))


def _sets(database: Database) -> list[Set]:
    return [_set(row) for row in database.rows(_SQL["list_sets"], {"limit": SETS_MAX})]


def _set(row: dict[str, Any]) -> Set:
    features = msgspec.json.decode(row["features"], type=tuple[Feature, ...])
    return Set(**{**row, "features": features, "trusted": bool(row["trusted"])})


def _row(one: Set) -> dict[str, Any]:
    row = msgspec.structs.asdict(one)
    return {**row, "features": msgspec.json.encode(one.features).decode()}


def _check(wanted: Set, others: Iterable[Set]) -> None:
    mine = {feature.name for feature in wanted.features}
    count = 0
    for other in others:
        count += 1
        theirs = {feature.name for feature in other.features}
        if other.entity == wanted.entity and (both := sorted(mine & theirs)):
            raise Conflict(
                f"The set {other.name} has a feature {wanted.entity}.{both[0]} already. Give it"
                " another name, or take it out there first.",
                param="features",
            )
    if count >= SETS_MAX:
        raise Conflict(f"There are {SETS_MAX} feature sets. Delete one first.", param="name")


def _rows(values: Sequence[Written], now_s: float) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """Rows of the history, and of the latest; each only once, as Postgres wants it."""
    history: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    latest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for each in values:
        whose = (each.entity, each.key, each.name)
        row = (*whose, each.event_at, now_s, msgspec.json.encode(each.value).decode())
        history[*whose, each.event_at] = row
        if whose not in latest or latest[whose][3] <= each.event_at:
            latest[whose] = row
    return list(history.values()), list(latest.values())


def _latest(database: Database, pair: Pair) -> dict[str, Value]:
    wanted = {"entity": pair[0], "entity_key": pair[1]}
    return {row["name"]: _value(row) for row in database.rows(_SQL["latest_values"], wanted)}


def _at(
    database: Database, asked: Sequence[tuple[Pair, str]], moments: dict[str, float]
) -> dict[tuple[Pair, str], Value]:
    found = {}
    for pair, name in asked:
        wanted = {"entity": pair[0], "entity_key": pair[1], "name": name, **moments}
        rows = database.rows(_SQL["value_at"], wanted)
        if rows:
            found[pair, name] = _value(rows[0])
            continue
        # The history forgets, the latest does not: it held then if nothing came since.
        latest = _latest(database, pair).get(name)
        if latest is not None and (
            latest.event_at <= moments["as_of"] and latest.written_at <= moments["known_by"]
        ):
            found[pair, name] = latest
    return found


def _value(row: dict[str, Any]) -> Value:
    return Value(msgspec.json.decode(row["value"]), row["event_at"], row["written_at"])
