"""Endpoints that are told of jobs, their secrets, and the log of what was sent.

Rule: no secret is stored. It is HMAC-SHA256(pepper, seed), made when it is needed, so that neither a
stolen database nor a stolen pepper file alone can sign.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.job import Problem
from gatemill.ledger import queries
from gatemill.ledger.outbox import Letter
from gatemill.wire.webhook import secret_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Write

OVERLAP_S = 86_400.0  # for which a replaced secret still signs
SEEDS_MAX = 5  # of one endpoint: a secret replaced more often than that signs no more
TRIES_MAX = 200  # of one notification that are shown
REASON_GONE = "It answered 410 Gone."
REASON_GIVEN_UP = "Too many notifications in a row were given up."
REASON_OWNER = "Its owner disabled it."
_SALT = b"gatemill webhook secret\0"  # keeps these apart from digests of keys

_SQL = queries.load("webhooks")
_INSERT = _SQL["insert_endpoint"]
_COUNT = _SQL["count_endpoints"]
_TOUCH = _SQL["touch_endpoint"]
_READ = _SQL["read_endpoint"]
_LIST = _SQL["list_endpoints"]
_CHANGE = _SQL["change_endpoint"]
_DELETE = _SQL["delete_endpoint"]
_DISABLE = _SQL["disable_endpoint"]
_GIVEN_UP = _SQL["endpoint_given_up"]
_REACHED = _SQL["endpoint_reached"]
_INSERT_SECRET = _SQL["insert_secret"]
_TOUCH_SECRET = _SQL["touch_secret"]
_READ_SECRET = _SQL["read_secret"]
_CHANGE_SECRET = _SQL["change_secret"]
_LIST_DELIVERIES = _SQL["list_deliveries"]
_READ_DELIVERY = _SQL["read_delivery"]
_HURRY = _SQL["hurry_delivery"]
_TRIES = _SQL["delivery_tries"]


class Seed(Struct, frozen=True):
    """What a secret is derived from."""

    seed: str
    until: float | None = None  # Unix time at which it signs no more; None while it is the newest


class Endpoint(Struct, frozen=True):
    """A URL that is told of something."""

    id: str
    owner: str
    url: str
    description: str
    events: tuple[str, ...]  # patterns, as wire.webhook.matches reads them
    given_up: int  # notifications in a row
    disabled_at: float | None
    disabled_reason: str
    created_at: float
    older_until: float | None = None  # a replaced secret signs as well until then


class Secrets(Struct, frozen=True):
    """The newest secret of an endpoint or an owner."""

    secret: str
    older_until: float | None  # a replaced one signs as well until then


class Recipient(Struct, frozen=True):
    """Where a notification goes and what it is signed with, now."""

    url: str  # "" for the default secret of an owner
    keys: tuple[bytes, ...]
    disabled: bool = False
    given_up: int = 0


class Try(Struct, frozen=True):
    """What a try came to."""

    at: float  # Unix time
    took_ms: int
    status: int | None  # None: there was no answer
    error: str = ""  # "" when it was taken


class Delivery(Struct, frozen=True):
    """A notification in the log. The state words are those of jobs."""

    id: str
    state: str
    letter: Letter
    run_at: float
    attempt: int
    attempts_max: int
    created_at: float
    finished_at: float | None
    error: Problem | None
    last: Try | None  # the one that arrived


class Wanted(Struct, frozen=True):
    """Which deliveries; "" lets all pass."""

    owner: str = ""
    state: str = ""
    job: str = ""
    endpoint: str = ""


_seeds = msgspec.json.Decoder(tuple[Seed, ...])
_events = msgspec.json.Decoder(tuple[str, ...])
_letter = msgspec.json.Decoder(Letter)
_problem = msgspec.json.Decoder(Problem)
_try = msgspec.json.Decoder(Try)


class Webhooks:
    """Part of an open ledger, as `ledger.webhooks`. An owner of "" is anybody: an admin asks.

    Everything raises LedgerUnavailable and Overloaded; what names an id raises NotFound.
    """

    def __init__(
        self, reader: Reader, write: Write, clock: Clock, pepper: Callable[[], bytes]
    ) -> None:
        self._reader = reader
        self._write = write
        self._now_s = clock.unix_s
        self._pepper = pepper  # known once the ledger is open

    # --- Endpoints -------------------------------------------------------------------------------

    async def create(
        self, owner: str, url: str, events: tuple[str, ...], description: str, most: int
    ) -> tuple[Endpoint, str]:
        """A new endpoint and its secret. Raises InvalidValue when the owner has `most` already."""
        seed, now_s = _new_seed(), self._now_s()
        row: dict[str, Any] = {
            "id": "we_" + secrets.token_hex(12),
            "owner": owner,
            "url": url,
            "description": description,
            "events": _text(events),
            "seeds": _text((seed,)),
            "created_at": now_s,
        }

        def work(database: Database) -> dict[str, Any]:
            with database.transaction():
                if database.rows(_COUNT, {"owner": owner})[0]["rows"] >= most:
                    raise InvalidValue(
                        f"There are {most} endpoints already (webhooks.endpoints_max). Delete one"
                        " first.",
                        param="url",
                    )
                database.run(_INSERT, row)
                return _row(database, row["id"], owner)

        made = await self._write(work)
        return self._endpoint(made), self._secret(seed)

    async def get(self, endpoint_id: str, owner: str) -> Endpoint:
        """One endpoint."""
        return self._endpoint(await self._reader.run(lambda db: _row(db, endpoint_id, owner)))

    async def listed(self, owner: str, limit: int, after: str = "") -> list[Endpoint]:
        """Endpoints in a fixed order, those after an id."""
        page = {"owner": owner, "after": after, "limit": limit}
        return [self._endpoint(r) for r in await self._reader.run(lambda db: db.rows(_LIST, page))]

    async def update(
        self, endpoint_id: str, owner: str, changes: dict[str, Any], *, enabled: bool | None = None
    ) -> Endpoint:
        """The endpoint with new values of `url`, `description` or `events`; enabled, or not."""
        if "events" in changes:
            changes = {**changes, "events": _text(changes["events"])}
        if enabled is not None:
            reason = "" if enabled else REASON_OWNER
            at_s = None if enabled else self._now_s()
            changes = {**changes, "disabled_at": at_s, "disabled_reason": reason, "given_up": 0}
        return self._endpoint(await self._changed(endpoint_id, owner, lambda _: changes))

    async def delete(self, endpoint_id: str, owner: str) -> None:
        """The endpoint is gone; what waits for it ends as undeliverable."""
        said = {"id": endpoint_id, "owner": owner}
        if not await self._write(lambda database: database.run(_DELETE, said)):
            raise _unknown()

    async def rotate(
        self, endpoint_id: str, owner: str, overlap_s: float = OVERLAP_S
    ) -> tuple[Endpoint, str]:
        """The endpoint and its new secret; the present one signs as well for `overlap_s`."""
        seed, now_s = _new_seed(), self._now_s()
        found = await self._changed(
            endpoint_id,
            owner,
            lambda row: {"seeds": _text(_rotated(row["seeds"], seed, now_s, overlap_s))},
        )
        return self._endpoint(found), self._secret(seed)

    # --- The secret of callback URLs -------------------------------------------------------------

    async def default_secret(self, owner: str) -> Secrets:
        """What notifications to callback URLs of jobs are signed with; made when first asked for."""
        return self._secrets(await self._default_seeds(owner))

    async def rotate_default(self, owner: str, overlap_s: float = OVERLAP_S) -> Secrets:
        """A new one; the present one signs as well for `overlap_s`."""
        seed, now_s = _new_seed(), self._now_s()
        await self._default_seeds(owner)

        def work(database: Database) -> str:
            with database.transaction():
                database.run(_TOUCH_SECRET, {"owner": owner})
                before = database.rows(_READ_SECRET, {"owner": owner})[0]["seeds"]
                after = _text(_rotated(before, seed, now_s, overlap_s))
                database.run(_CHANGE_SECRET, {"owner": owner, "seeds": after})
                return after

        return self._secrets(await self._write(work))

    # --- Delivery --------------------------------------------------------------------------------

    async def recipient(self, owner: str, endpoint_id: str) -> Recipient:
        """Of an endpoint, or of the owner's callback URLs where `endpoint_id` is ""."""
        if not endpoint_id:
            return Recipient("", self._keys(await self._default_seeds(owner)))
        row = await self._reader.run(lambda database: _row(database, endpoint_id, owner))
        return Recipient(
            url=row["url"],
            keys=self._keys(row["seeds"]),
            disabled=row["disabled_at"] is not None,
            given_up=row["given_up"],
        )

    async def disable(self, endpoint_id: str, reason: str) -> None:
        """It is told nothing more until its owner enables it."""
        said = {"id": endpoint_id, "now_s": self._now_s(), "reason": reason}
        await self._write(lambda database: database.run(_DISABLE, said))

    async def given_up(self, endpoint_id: str, most: int) -> None:
        """A notification did not arrive at all; `most` of them in a row disable the endpoint."""
        reason = REASON_GIVEN_UP
        said = {"id": endpoint_id, "now_s": self._now_s(), "reason": reason, "most": most}
        await self._write(lambda database: database.run(_GIVEN_UP, said))

    async def reached(self, endpoint_id: str) -> None:
        """A notification has arrived: the row of failures is over."""
        await self._write(lambda database: database.run(_REACHED, {"id": endpoint_id}))

    # --- The log ---------------------------------------------------------------------------------

    async def deliveries(self, wanted: Wanted, limit: int, after: str = "") -> list[Delivery]:
        """Notifications, the newest first, after an id."""
        page = {**msgspec.structs.asdict(wanted), "limit": limit, "after": after}
        found = await self._reader.run(lambda database: database.rows(_LIST_DELIVERIES, page))
        return [_delivery(row) for row in found]

    async def delivery(self, delivery_id: str, owner: str) -> tuple[Delivery, list[Try]]:
        """A notification and what its tries came to, the first one first."""
        said = {"id": delivery_id, "owner": owner}
        steps = {"id": delivery_id, "limit": TRIES_MAX}

        def work(database: Database) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            return database.rows(_READ_DELIVERY, said), database.rows(_TRIES, steps)

        rows, tries = await self._reader.run(work)
        if not rows:
            raise NotFound("There is no delivery with this id. See GET /v1/webhooks/deliveries.")
        return _delivery(rows[0]), [_try.decode(row["value"]) for row in tries]

    async def hurry(self, delivery_id: str, owner: str) -> bool:
        """One that waits for its next try is due now; False when it does not wait."""
        said = {"id": delivery_id, "owner": owner, "now_s": self._now_s()}
        return bool(await self._write(lambda database: database.run(_HURRY, said)))

    # --- Inside ----------------------------------------------------------------------------------

    async def _changed(
        self, endpoint_id: str, owner: str, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        def work(database: Database) -> dict[str, Any]:
            with database.transaction():
                if not database.run(_TOUCH, {"id": endpoint_id, "owner": owner}):
                    raise _unknown()
                row = _row(database, endpoint_id, owner)
                row |= change(row)
                database.run(_CHANGE, {name: row[name] for name in _CHANGE.params})
                return row

        return await self._write(work)

    async def _default_seeds(self, owner: str) -> str:
        said = {"owner": owner}
        rows = await self._reader.run(lambda database: database.rows(_READ_SECRET, said))
        if not rows:
            new = {"owner": owner, "seeds": _text((_new_seed(),))}

            def work(database: Database) -> list[dict[str, Any]]:
                database.run(_INSERT_SECRET, new)
                return database.rows(_READ_SECRET, said)

            rows = await self._write(work)
        return str(rows[0]["seeds"])

    def _endpoint(self, row: dict[str, Any]) -> Endpoint:
        seeds = _living(row["seeds"], self._now_s())
        values = {name: row[name] for name in Endpoint.__struct_fields__[:-1]}
        values["events"] = _events.decode(row["events"])
        return Endpoint(**values, older_until=_older_until(seeds))

    def _secrets(self, text: str) -> Secrets:
        seeds = _living(text, self._now_s())
        return Secrets(self._secret(seeds[0]), _older_until(seeds))

    def _keys(self, text: str) -> tuple[bytes, ...]:
        return tuple(self._key(seed) for seed in _living(text, self._now_s()))

    def _secret(self, seed: Seed) -> str:
        return secret_of(self._key(seed))

    def _key(self, seed: Seed) -> bytes:
        return hmac.digest(self._pepper(), _SALT + seed.seed.encode(), sha256)


def _row(database: Database, endpoint_id: str, owner: str) -> dict[str, Any]:
    rows = database.rows(_READ, {"id": endpoint_id, "owner": owner})
    if not rows:
        raise _unknown()
    return rows[0]


def _unknown() -> NotFound:
    return NotFound("There is no webhook with this id. GET /v1/webhooks lists yours.", param="id")


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _new_seed() -> Seed:
    return Seed(secrets.token_hex(16))


def _living(text: str, now_s: float) -> tuple[Seed, ...]:
    """Those that sign now, the newest first; always one."""
    return tuple(seed for seed in _seeds.decode(text) if seed.until is None or seed.until > now_s)


def _older_until(seeds: tuple[Seed, ...]) -> float | None:
    return max((seed.until for seed in seeds if seed.until is not None), default=None)


def _rotated(text: str, seed: Seed, now_s: float, overlap_s: float) -> tuple[Seed, ...]:
    until = now_s + overlap_s
    older = [
        Seed(each.seed, until if each.until is None else min(each.until, until))
        for each in _living(text, now_s)
    ]
    return (seed, *(older[: SEEDS_MAX - 1] if overlap_s else ()))


def _delivery(row: dict[str, Any]) -> Delivery:
    values = {name: row[name] for name in Delivery.__struct_fields__ if name in row}
    values["letter"] = _letter.decode(row["args"])
    values["error"] = None if row["error"] is None else _problem.decode(row["error"])
    values["last"] = None if row["result"] is None else _try.decode(row["result"])
    return Delivery(**values)
