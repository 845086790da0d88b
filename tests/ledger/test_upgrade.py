"""A database of each earlier schema, with rows of its age, opened by today's code: nothing is lost or changed."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing

import pytest

import databases
from gatemill.core.clock import FakeClock
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.limits import Budget, Limits
from gatemill.core.scopes import DEFAULT
from gatemill.ledger import keys, pepper, queries, teams, transfer, usage, users
from gatemill.ledger.jobs.rows import Filter
from gatemill.ledger.keys import Scope
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.place import Place
from gatemill.ledger.summaries import Share
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User
from ledger_jobs import MOST, OWNER, new_job
from usage_rows import usage_row

PEPPER = bytes(range(32))
NOW_S = 1_763_700_000.0
SPAN = (NOW_S - 3600, NOW_S + 3600)
NEWEST = len(queries.migrations())
ROWS = 60
GROWN = ("usage", "usage_sums", "latency_sums")  # by the row that today's code adds
JOBS_SINCE, SCOPES_SINCE, HOURS_SINCE = 4, 13, 14
# Each version on SQLite; on Postgres those that rewrite sums, with the variable all of them.
VERSIONS = {
    "sqlite": range(1, NEWEST),
    "postgres": range(1, NEWEST) if os.environ.get("GATEMILL_TEST_HEAVY") == "1" else (2, 13),
}
CASES = [(kind, version) for kind in databases.KINDS for version in VERSIONS[kind]]


def read(database, table, columns):
    found = database.rows(queries.of_table("every_row", table, tuple(columns)))
    # SQLite has no booleans.
    return sorted(
        tuple(0 + one if isinstance(one, bool) else one for one in row.values()) for row in found
    )


async def submit(folder, place):
    ledger = Ledger.open(folder, place.address, FakeClock(NOW_S), pepper=PEPPER)
    await ledger.jobs.submit([new_job(number) for number in range(3)], MOST, MOST)
    await ledger.close()


@pytest.fixture(scope="module")
def present(tmp_path_factory):
    """Every row of a database of today, by table, and the secrets of its keys."""
    folder = tmp_path_factory.mktemp("present")
    place = Place(path=folder / "gatemill.db")
    with databases.migrated(place) as database:
        pepper.bind(database, PEPPER)
        limits = Limits(budgets=(Budget("month", 5_000_001),))
        teams.create(database, Team("core", "Kern", limits, NOW_S), "cli")
        users.create(database, User("anna", "Anna", "core", created_s=NOW_S), "cli")
        made = [
            keys.create(database, PEPPER, Scope("live", user_id="anna"), NOW_S),
            keys.create(database, PEPPER, Scope("admin", admin=True), NOW_S),
            keys.create(database, PEPPER, Scope("gone", models=("a-*",)), NOW_S),
        ]
        keys.revoke(database, made[2].key.id, NOW_S, "cli")
        rows = [
            usage_row(
                number,
                at=NOW_S + number * 31,
                key_id=made[number % 2].key.id,
                cost_microusd=None if number % 9 == 0 else number * 1_001,
                error="provider_error" if number % 7 == 0 else "",
            )
            for number in range(ROWS)
        ]
        usage.insert(database, rows, NOW_S)
    asyncio.run(submit(folder, place))
    with closing(place.open(writes=False)) as database:
        tables = database.tables()
        every = {
            name: database.rows(queries.of_table("every_row", name, tuple(columns)))
            for name, columns in tables.items()
        }
        totals = usage.totals(database, *SPAN)
    return every, [new.secret for new in made], totals


def aged(place, version, every):
    """The database has that schema, and what it could hold of the rows; they are given by table."""
    kept = {}
    with closing(place.open(writes=True)) as database:
        assert database.migrate(queries.migrations()[:version], NOW_S) == version
        for table, kinds in database.tables().items():
            if table == "migrations":
                continue
            rows = every[table]
            if table == "usage_sums" and version < HOURS_SINCE:
                rows = [row for row in rows if row["span_s"] != 3600]
            database.run(queries.of_table("remove_rows", table))
            values = [
                tuple(
                    bool(row[name]) if kind == "boolean" else row[name]
                    for name, kind in kinds.items()
                )
                for row in rows
            ]
            database.run_many(queries.of_table("add_row", table, tuple(kinds)), values)
            kept[table] = (tuple(kinds), read(database, table, kinds))
    return kept


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def old(request, tmp_path, present):
    """A database of a version, and what is in it."""
    kind, version = request.param
    with databases.empty(kind, tmp_path, bare=True) as place:
        yield place, version, aged(place, version, present[0])


async def test_a_database_of_any_age_has_all_of_its_rows_after_an_upgrade(tmp_path, present, old):
    place, version, kept = old
    _, secrets, totals = present
    ledger = Ledger.open(tmp_path, place.address, FakeClock(NOW_S), pepper=PEPPER)
    try:
        found = [ledger.identify(secret.encode()) for secret in secrets]
        assert [(key.name, key.admin, key.models) for key in found] == [
            ("live", False, ("*",)),
            ("admin", True, ("*",)),
            ("gone", False, ("a-*",)),
        ]
        assert found[2].revoked_s == NOW_S
        # Keys from before there were scopes may do what keys could do then.
        assert set(found[0].scopes) >= set(DEFAULT)
        assert await ledger.totals(*SPAN) == totals
        # Hours have the operation whatever they had before.
        said = await ledger.reports.summary(*SPAN)
        assert (said.requests, said.operations) == (ROWS, [Share("chat", ROWS)])
        spent = [await ledger.spent("key", key.id, *SPAN) for key in found]
        assert sum(spent) == sum(total.cost_microusd for total in totals)
        jobs = await ledger.jobs.listed(Filter(owner=OWNER), 10)
        assert len(jobs) == (3 if version >= JOBS_SINCE else 0)
        ledger.record(usage_row("new", at=NOW_S, key_id=found[0].id))
        await ledger.flushed()
    finally:
        await ledger.close()
    await asyncio.to_thread(check, place, kept)


def check(place, kept):
    """Every row of before is there as it was."""
    with closing(place.open(writes=False)) as database:
        assert transfer.count_rows(database)["usage"] == ROWS + 1
        fixed = {name: rows for name, rows in kept.items() if name not in GROWN}
        for table, (columns, rows) in fixed.items():
            assert read(database, table, columns) == rows, table
        columns, rows = kept["usage"]
        assert set(read(database, "usage", columns)) > set(rows)


@pytest.mark.parametrize("kind", databases.KINDS)
def test_older_code_refuses_a_newer_database_and_says_what_to_do(tmp_path, kind):
    said = f"version {NEWEST}, this Gatemill knows .* up to {NEWEST - 1}"
    with (
        databases.empty(kind, tmp_path) as place,
        databases.migrated(place) as database,
        pytest.raises(LedgerUnavailable, match=said),
    ):
        database.migrate(queries.migrations()[:-1], NOW_S)
