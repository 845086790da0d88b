"""Teams, users and the audit log as the house sees them. Rule: every change names who made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gatemill.core.guard import NOTHING
from gatemill.core.limits import UNLIMITED
from gatemill.ledger import audit, teams, users
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.clock import Clock
    from gatemill.core.guard import Uses
    from gatemill.core.limits import Limits
    from gatemill.ledger.audit import AuditEntry, Wanted
    from gatemill.ledger.database import Database
    from gatemill.ledger.limits import Change
    from gatemill.ledger.reader import Reader

T = TypeVar("T")


class Write(Protocol):
    """Runs a change in the thread that writes; what it changed is known here when it returns."""

    async def __call__(self, change: Callable[[Database], T]) -> T:
        """What the change returned."""
        ...


class People:
    """Part of an open ledger, as `ledger.people`.

    `actor` is "cli" or the id of the admin's key. In an update, None leaves a value as it is. Every
    process knows a change within a second.
    """

    def __init__(self, reader: Reader, change: Write, clock: Clock) -> None:
        self._reader = reader
        self._change = change
        self._clock = clock

    async def create_team(
        self,
        team_id: str,
        name: str,
        limits: Limits = UNLIMITED,
        *,
        guards: Uses = NOTHING,
        actor: str = "cli",
    ) -> Team:
        """A new team. Raises Conflict and InvalidValue."""
        team = Team(team_id, name, limits, self._clock.unix_s(), guards)
        return await self._change(lambda db: teams.create(db, team, actor))

    async def update_team(
        self,
        team_id: str,
        *,
        name: str | None = None,
        limits: Change | None = None,
        guards: Uses | None = None,
        actor: str = "cli",
    ) -> Team:
        """The team as it is now. Raises NotFound and InvalidValue."""
        changes, now_s = _said(name=name, limits=limits, guards=guards), self._clock.unix_s()
        return await self._change(lambda db: teams.update(db, team_id, changes, now_s, actor))

    async def delete_team(self, team_id: str, actor: str = "cli") -> None:
        """The team is gone. Raises NotFound, and Conflict while it has users or live keys."""
        now_s = self._clock.unix_s()
        await self._change(lambda db: teams.delete(db, team_id, now_s, actor))

    async def list_teams(self, limit: int) -> list[Team]:
        """Teams in the order of their ids."""
        return await self._reader.run(lambda db: teams.listed(db, limit))

    async def get_team(self, team_id: str) -> Team:
        """A team. Raises NotFound."""
        return await self._reader.run(lambda db: teams.read(db, team_id))

    async def create_user(
        self,
        user_id: str,
        name: str,
        team_id: str = "",
        limits: Limits = UNLIMITED,
        actor: str = "cli",
    ) -> User:
        """A new user. Raises Conflict and InvalidValue."""
        user = User(user_id, name, team_id, limits, self._clock.unix_s())
        return await self._change(lambda db: users.create(db, user, actor))

    async def update_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        team_id: str | None = None,
        limits: Change | None = None,
        actor: str = "cli",
    ) -> User:
        """The user as they are now. Raises NotFound and InvalidValue."""
        changes = _said(name=name, team_id=team_id, limits=limits)
        now_s = self._clock.unix_s()
        return await self._change(lambda db: users.update(db, user_id, changes, now_s, actor))

    async def delete_user(self, user_id: str, actor: str = "cli") -> None:
        """The user is gone. Raises NotFound, and Conflict while they hold live keys."""
        now_s = self._clock.unix_s()
        await self._change(lambda db: users.delete(db, user_id, now_s, actor))

    async def list_users(self, limit: int) -> list[User]:
        """Users in the order of their ids."""
        return await self._reader.run(lambda db: users.listed(db, limit))

    async def get_user(self, user_id: str) -> User:
        """A user. Raises NotFound."""
        return await self._reader.run(lambda db: users.read(db, user_id))

    async def note(
        self, actor: str, action: str, kind: str, object_id: str, detail: dict[str, Any]
    ) -> None:
        """An entry of the audit log, about what was changed elsewhere than among people and keys."""
        entry = audit.Entry(self._clock.unix_s(), actor, action, kind, object_id, detail)

        def add(database: Database) -> None:
            with audit.noting(database):
                audit.add(database, entry)

        await self._change(add)

    async def audit_log(
        self, limit: int, before_id: int | None = None, wanted: Wanted | None = None
    ) -> list[AuditEntry]:
        """Entries, the newest first; `before_id` is the id of the last one of the page before."""
        return await self._reader.run(lambda db: audit.listed(db, limit, before_id, wanted))


def _said(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
