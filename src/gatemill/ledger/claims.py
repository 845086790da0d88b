"""Requests with an Idempotency-Key: who runs one, and what it answered. Rule: one winner, in every process.

A claim is a row that only one of many can insert. It ends with the answer, with the deadline of its
request, or with the death of its owner: the process whose holds file is no longer locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.ledger import queries

if TYPE_CHECKING:
    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.writer import Write

EXPIRED_ROWS = 500  # deleted in one transaction
BODY_BYTES_MAX = 16 << 20  # a longer answer is not kept
RETRY_S_MIN = 1.0
TRIES = 3  # a claim may vanish between being in the way and being read

_SQL = queries.load("claims")
_TAKE = _SQL["take_claim"]
_READ = _SQL["read_claim"]
_FINISH = _SQL["finish_claim"]
_DROP = _SQL["drop_claim"]
_DROP_OWNER = _SQL["drop_owner"]
_DROP_EXPIRED = _SQL["drop_expired"]
_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class New(Struct, frozen=True):
    """The request is ours to run; it ends with `finish_claim` or `drop_claim`."""


class Running(Struct, frozen=True):
    """The same request is under way."""

    retry_after_s: float  # as long as it has run already, at least `RETRY_S_MIN`


class Done(Struct, frozen=True):
    """The same request was answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Other(Struct, frozen=True):
    """Another request came with the same key."""


Claim = New | Running | Done | Other


class Claims:
    """The store of one process."""

    def __init__(self, write: Write, owner: str, clock: Clock) -> None:
        """`owner` names this process and no other, ever."""
        self.used = False  # a claim may still be running
        self._write = write
        self._owner = owner
        self._clock = clock

    async def claim(
        self, key_id: str, idem_key: str, fingerprint: str, request_id: str, until_s: float
    ) -> Claim:
        """What a request with this key is to do. Exactly one of many callers is told New.

        `fingerprint` stands for the whole request; `until_s` is its deadline in Unix time, after
        which others may claim it. Raises LedgerUnavailable and Overloaded.
        """
        self.used = True
        wanted = {
            "key_id": key_id,
            "idempotency_key": idem_key,
            "fingerprint": fingerprint,
            "request_id": request_id,
            "owner": self._owner,
            "nothing": b"",
            "now_s": self._clock.unix_s(),
            "until_s": until_s,
        }
        return await self._write(lambda database: _take(database, wanted))

    async def finish_claim(
        self, key_id: str, idem_key: str, request_id: str, done: Done, keep_s: float
    ) -> bool:
        """Everybody who asks within `keep_s` is told `done`; False if the claim is no longer ours.

        An answer above `BODY_BYTES_MAX` is not kept: its claim is dropped.
        """
        if len(done.body) > BODY_BYTES_MAX:
            await self.drop_claim(key_id, idem_key, request_id)
            return False
        answer = {
            "key_id": key_id,
            "idempotency_key": idem_key,
            "request_id": request_id,
            "status": done.status,
            "headers": msgspec.json.encode(done.headers).decode(),
            "body": done.body,
            "until_s": self._clock.unix_s() + keep_s,
        }
        return bool(await self._write(lambda database: database.run(_FINISH, answer)))

    async def drop_claim(self, key_id: str, idem_key: str, request_id: str) -> None:
        """The next who asks is told New."""
        ours = {"key_id": key_id, "idempotency_key": idem_key, "request_id": request_id}
        await self._write(lambda database: database.run(_DROP, ours))


def drop_owner(database: Database, owner: str) -> int:
    """The number of claims forgotten, which a process that has ended left running."""
    return database.run(_DROP_OWNER, {"owner": owner})


def drop_expired(database: Database, now_s: float) -> int:
    """The number of claims and answers deleted, because their time is over; at most `EXPIRED_ROWS`."""
    return database.run(_DROP_EXPIRED, {"now_s": now_s, "limit": EXPIRED_ROWS})


def _take(database: Database, wanted: dict[str, Any]) -> Claim:
    for _ in range(TRIES):
        if database.run(_TAKE, wanted):
            return New()
        found = database.rows(_READ, wanted)
        if found:
            return _met(found[0], wanted)
    return Running(RETRY_S_MIN)


def _met(row: dict[str, Any], wanted: dict[str, Any]) -> Claim:
    if row["fingerprint"] != wanted["fingerprint"]:
        return Other()
    if row["state"] == "done":
        return Done(row["status"], _headers.decode(row["headers"]), bytes(row["body"]))
    return Running(max(RETRY_S_MIN, wanted["now_s"] - row["created_s"]))
