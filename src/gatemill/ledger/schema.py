"""The schema's version, and how it rises. Rule: the caller holds a lock that keeps others out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger import queries

if TYPE_CHECKING:
    from gatemill.ledger.database import Database
    from gatemill.ledger.queries import Migration

_SQL = queries.load("schema")
_CREATE_MIGRATIONS = _SQL["create_migrations"]
_SCHEMA_VERSION = _SQL["schema_version"]
_RECORD_MIGRATION = _SQL["record_migration"]
_DATABASE_NOW = _SQL["database_now"]


def apply(database: Database, steps: list[Migration], now_s: float, shown: str) -> int:
    """The version of the newest step; all steps are applied, in one transaction of the caller's.

    `shown` names the database. Raises LedgerUnavailable when the database is newer than the steps.
    """
    newest = steps[-1].version
    database.run(_CREATE_MIGRATIONS)
    applied = version(database)
    if applied > newest:
        raise LedgerUnavailable(
            f"The database {shown} has schema version {applied}, this Gatemill knows versions up to"
            f" {newest}. Install the newer Gatemill again, or restore a backup of the database made"
            " before it."
        )
    for step in steps[applied:]:
        for statement in step.statements:
            database.run(queries.literal(step.name, statement))
        row = {"version": step.version, "name": step.name, "applied_s": now_s}
        database.run(_RECORD_MIGRATION, row)
    return newest


def version(database: Database) -> int:
    """The newest applied step. The table of migrations must exist."""
    return int(database.rows(_SCHEMA_VERSION)[0]["version"])


def now_s(database: Database) -> float:
    """The Unix time that the database has; of SQLite that is ours, in whole seconds."""
    told = datetime.fromisoformat(database.rows(_DATABASE_NOW)[0]["now_text"])
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
