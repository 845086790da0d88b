"""Models and prompts of one's own: their versions, and the aliases that point to them.

Rule: a version never changes once it is here, its number is never given out again, and a move of an
alias is one transaction with its event and its entry in the audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gatemill.ledger import queries, registry_changes, registry_rows
from gatemill.ledger.registry_rows import Event

if TYPE_CHECKING:
    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.people import Write
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.registry_rows import Model, Move, Moved, NewVersion, Snapshot, Version

LIST_MAX = 500
_NEWEST = 2**62

_SQL = queries.load("registry")


class Registry:
    """The attribute `registry` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, reader: Reader, change: Write, clock: Clock) -> None:
        self._reader = reader
        self._change = change
        self._clock = clock

    # --- Looking ---------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        """What is served, without what versions hold."""
        return await self._reader.run(registry_rows.snapshot)

    async def get(self, name: str) -> Model:
        """A name. Raises NotFound."""
        return await self._reader.run(lambda db: registry_rows.model(db, name))

    async def version(self, name: str, number: int) -> Version:
        """A version, archived or not. Raises NotFound."""
        return await self._reader.run(lambda db: registry_rows.version(db, name, number))

    async def content(self, name: str, number: int) -> tuple[str, bytes]:
        """The template and the weights of a version. Raises NotFound."""

        def read(database: Database) -> tuple[str, bytes]:
            found = database.rows(_SQL["read_content"], {"model": name, "version": number})
            if not found:
                raise registry_rows.no_version(name, number)
            return found[0]["template"], bytes(found[0]["weights"])

        return await self._reader.run(read)

    async def versions(self, name: str, limit: int, before: int | None = None) -> list[Version]:
        """Versions of a name, the newest first; `before` goes on after a page. Raises NotFound."""
        wanted = {
            "model": name,
            "before": before or _NEWEST,
            "limit": min(limit, LIST_MAX),
        }

        def read(database: Database) -> list[Version]:
            registry_rows.model(database, name)
            return [registry_rows.read(row) for row in database.rows(_SQL["list_versions"], wanted)]

        return await self._reader.run(read)

    async def events(
        self, name: str, limit: int, alias: str = "", before: int | None = None
    ) -> list[Event]:
        """Moves of a name's aliases, the newest first. Raises NotFound."""
        wanted = {
            "model": name,
            "alias": alias,
            "before": before or _NEWEST,
            "limit": min(limit, LIST_MAX),
        }

        def read(database: Database) -> list[Event]:
            registry_rows.model(database, name)
            return msgspec.convert(database.rows(_SQL["list_events"], wanted), list[Event])

        return await self._reader.run(read)

    # --- Changing --------------------------------------------------------------------------------

    async def create(self, new: Model, actor: str) -> Model:
        """A name without versions. Raises Conflict and InvalidValue."""
        row = {**msgspec.structs.asdict(new), "now_s": self._clock.unix_s(), "actor": actor}
        return await self._change(lambda db: registry_changes.create(db, row))

    async def give(self, name: str, team_id: str, actor: str) -> Model:
        """The prompt belongs to the team; "" is everybody. Raises NotFound and InvalidValue."""
        now_s = self._clock.unix_s()
        return await self._change(lambda db: registry_changes.give(db, name, team_id, actor, now_s))

    async def add(self, name: str, new: NewVersion, actor: str, *, once: bool = False) -> Version:
        """The next version, stored. Raises NotFound, and Conflict where there are too many.

        With `once`, one with the same source that is there already is given back instead.
        """
        now_s = self._clock.unix_s()
        return await self._change(
            lambda db: registry_changes.add(db, name, new, (actor, now_s, once))
        )

    async def move(self, move: Move, version: int) -> Moved:
        """The alias points to the version. Raises NotFound and Conflict."""
        now_s = self._clock.unix_s()
        return await self._change(lambda db: registry_changes.set_(db, move, version, now_s))

    async def before(self, name: str, alias: str) -> int:
        """The version to which a rollback would lead. Raises NotFound and Conflict."""
        return await self._reader.run(
            lambda db: registry_rows.earlier(db, registry_rows.alias_of(db, name, alias)).to_version
        )

    async def rollback(self, move: Move, version: int) -> Moved:
        """The alias points to the version before; which must be `version`. Raises NotFound, Conflict."""
        now_s = self._clock.unix_s()
        return await self._change(lambda db: registry_changes.rollback(db, move, version, now_s))

    async def drop_alias(self, move: Move) -> Moved:
        """The alias is gone. Raises NotFound and Conflict."""
        now_s = self._clock.unix_s()
        return await self._change(lambda db: registry_changes.drop_alias(db, move, now_s))

    async def archive(self, name: str, number: int, reason: str, actor: str) -> Version:
        """The version is no longer served. Raises NotFound, and Conflict while an alias points there."""
        now_s = self._clock.unix_s()
        return await self._change(
            lambda db: registry_changes.archive(db, (name, number), reason, actor, now_s)
        )

    async def delete(self, name: str, reason: str, actor: str) -> None:
        """The name is gone, with its aliases; its versions are archived. Raises NotFound."""
        now_s = self._clock.unix_s()
        await self._change(lambda db: registry_changes.delete(db, name, reason, actor, now_s))
