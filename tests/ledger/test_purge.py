"""What is kept of a key, of a user or from before a day is deleted, and nothing else is.

Every table is filled for two tenants with words that occur nowhere else. What must go is then looked
for in the bytes of the database's files, too.
"""

from __future__ import annotations

from asyncio import to_thread
from typing import Any

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import NotFound
from gatemill.ledger import kept, queries
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.purge import Whose

DAY_S = 86_400.0
NOW_S = 20_400 * DAY_S + 50_000.0
OLD_S, NEW_S = NOW_S - 10 * DAY_S, NOW_S - DAY_S / 4
EMPTY = {"text": "", "bytea": b"", "boolean": False, "double precision": 0.0}
KEY = {"models": '["*"]', "limits": "{}", "expires_s": None, "revoked_s": None}


def rows_of(name: str, owner: str, key: str, user: str, at: float) -> list[tuple[str, dict]]:
    """Rows of every table that has content, for one tenant whose secret word is `name`."""
    word = f"zebra-{name}-zebra"
    bytes_ = word.encode() * 300  # beyond one page
    ended = {"state": "succeeded", "finished_at": at, "owner": owner, "key_id": key}
    return [
        ("keys", {"id": key, "name": "app", "digest": name.encode().hex(), "user_id": user, **KEY}),
        ("recordings", {"request_id": f"r{name}", "at": at, "key_id": key, "body": bytes_}),
        ("jobs", {"id": f"job_{name}", "kind": "chat.completion", "metadata": word, **ended}),
        ("job_data", {"job_id": f"job_{name}", "args": bytes_, "result": bytes_}),
        ("job_attempts", {"job_id": f"job_{name}", "number": 1, "error": word}),
        ("job_steps", {"job_id": f"job_{name}", "name": "s", "value": bytes_}),
        ("job_events", {"job_id": f"job_{name}", "number": 1, "data": bytes_}),
        ("jobs", {"id": f"job_{name}p", "kind": "part", "parent_id": f"job_{name}", **ended}),
        ("job_data", {"job_id": f"job_{name}p", "args": bytes_}),
        (
            "jobs",
            {
                **ended,
                "id": f"wh_{name}",
                "kind": "webhook",
                "unique_key": f"wh:job_{name}:1:e",
                "key_id": "",
            },
        ),
        ("job_data", {"job_id": f"wh_{name}", "args": bytes_}),
        *files_of(name, owner, at, ended),
        *facts_of(name, key, user, at),
    ]


def files_of(name: str, owner: str, at: float, ended: dict) -> list[tuple[str, dict]]:
    word = f"zebra-{name}-zebra"
    bytes_ = word.encode() * 300
    return [
        ("jobs", {"id": f"job_{name}b", "kind": "batch", **ended}),
        (
            "batches",
            {
                "id": f"batch_{name}",
                "job_id": f"job_{name}b",
                "owner": owner,
                "metadata": word,
                "input_file_id": f"file-{name}",
                "ended_at": at,
            },
        ),
        ("batch_results", {"batch_id": f"batch_{name}", "line": 1, "data": bytes_}),
        (
            "files",
            {
                "id": f"file-{name}",
                "owner": owner,
                "filename": word,
                "created_at": at,
                "touched_at": at,
                "complete": True,
                "expires_at": None,
            },
        ),
        ("file_chunks", {"file_id": f"file-{name}", "number": 0, "data": bytes_}),
    ]


def facts_of(name: str, key: str, user: str, at: float) -> list[tuple[str, dict]]:
    word = f"zebra-{name}-zebra"
    bytes_ = word.encode() * 300
    labels = {"key_id": key, "user_id": user, "model": "m", "attempts": 1, "cost_microusd": 7}
    return [
        (
            "idempotency",
            {
                "key_id": key,
                "idempotency_key": name,
                "state": "done",
                "body": bytes_,
                "created_s": at,
                "until_s": NOW_S * 2,
            },
        ),
        (
            "feature_log",
            {
                "request_id": f"r{name}",
                "at": at,
                "key_id": key,
                "entities": f'{{"user":"{user}"}}',
                "given": word,
            },
        ),
        (
            "feature_values",
            {"entity": "user", "entity_key": user, "written_at": at, "value": word},
        ),
        ("feature_latest", {"entity": "user", "entity_key": user, "value": word}),
        ("feedback", {"experiment_id": "e1", "mark": name, "unit": user, "key_id": key}),
        ("sessions", {"digest": name, "key_id": key, "expires_at": NOW_S * 2}),
        ("alerts", {"scope": "user", "scope_id": user}),
        (
            "usage",
            {"attempt_id": f"{name}-1", "request_id": name, "attempt": 1, "at": at, **labels_of(key, user)},
        ),
        ("usage_sums", {"span_s": 60, "start_s": int(at // 60) * 60, **labels}),
        ("usage_sums", {"span_s": 86_400, "start_s": int(at // DAY_S) * 86_400, **labels}),
    ]  # fmt: skip


def labels_of(key: str, user: str) -> dict[str, Any]:
    return {"key_id": key, "user_id": user, "model": "m", "cost_microusd": 7}


def fill(place, tenants) -> None:
    database = place.open(writes=True)
    try:
        columns = database.tables()
        filled = [("experiments", {"id": "e1", "name": "e", "unit": "user", "feedback": 2})]
        for tenant in tenants:
            filled += rows_of(*tenant)
        with database.transaction():
            for table, row in filled:
                said = {name: EMPTY.get(kind, 0) for name, kind in columns[table].items()}
                database.run(
                    queries.of_table("add_row", table, list(columns[table])), {**said, **row}
                )
    finally:
        database.close()


def queue(place, job_id: str) -> None:
    database = place.open(writes=True)
    database.run(queries.literal("wait", f"UPDATE jobs SET state = 'queued' WHERE id = '{job_id}'"))
    database.close()


def dump(place) -> dict[str, str]:
    """All rows of all tables, as text."""
    database = place.open(writes=False)
    try:
        with database.snapshot():
            return {
                table: "\n".join(
                    sorted(
                        str({name: _plain(value) for name, value in row.items()})
                        for batch in database.batches(
                            queries.of_table("every_row", table, list(columns)), 1000
                        )
                        for row in batch
                    )
                )
                for table, columns in database.tables().items()
            }
    finally:
        database.close()


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


def on_disk(folder) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("gatemill.db*"))


@pytest.fixture
async def ledger(place, tmp_path):
    opened = Ledger.open(tmp_path, place.url, FakeClock(NOW_S))
    yield opened
    await opened.close()


async def purged(ledger, whose: Whose):
    rounds = 0
    while not (made := await ledger.purge.some(whose, "cli")).done:
        rounds += 1
    return made


TENANTS = (
    ("ada", "user:ada", "keyada0001", "ada", NEW_S),
    ("bob", "user:bob", "keybob0001", "bob", NEW_S),
    ("adas-other", "key:keyada0002", "keyada0002", "adas-other", NEW_S),
    ("older", "user:old", "keyold0001", "old", OLD_S),
)
CONTENT = ("job_data", "file_chunks", "recordings", "idempotency", "job_events", "batch_results")


@pytest.mark.parametrize(
    ("whose", "name"),
    [
        (Whose(user="ada"), "ada"),
        (Whose(key="keyada0002"), "adas-other"),
        (Whose(before_s=NOW_S - 5 * DAY_S), "older"),
    ],
)
async def test_what_is_purged_is_gone_and_the_rest_is_as_it_was(
    ledger, place, tmp_path, whose, name
):
    await to_thread(fill, place, TENANTS)
    before = await to_thread(dump, place)
    word = f"zebra-{name}-zebra"
    assert all(word in before[table] for table in CONTENT)
    promised = await ledger.purge.count(whose)
    made = await purged(ledger, whose)
    after = await to_thread(dump, place)
    # Features belong to entities, which are users here: a purge by key leaves what is known of them.
    spared = {"feature_values", "feature_latest"} if whose.key else set()
    spared |= {"feature_latest"} if whose.before_s else set()
    found = {table for table, text in after.items() if word in text}
    assert found == spared
    for _, _, _key, user, _ in TENANTS:
        if user != name and not (whose.before_s and user == "old"):
            for table in CONTENT:
                assert after[table].count(f"zebra-{user}-zebra") == before[table].count(
                    f"zebra-{user}-zebra"
                ), table
    assert {table: count for table, count in made.rows.items() if table in promised.rows} == {
        table: count for table, count in promised.rows.items() if count
    }
    assert made.left == {}
    if place.path is not None:
        assert made.overwritten
        assert (word.encode() in on_disk(tmp_path)) is bool(spared)
        assert b"zebra-bob-zebra" in on_disk(tmp_path)


async def test_money_stays_and_names_nobody(ledger, place):
    await to_thread(fill, place, TENANTS)
    spent = await ledger.spent("key", "keyada0001", 0.0, NOW_S)
    assert await ledger.spent("user", "ada", 0.0, NOW_S) == spent == 7
    await purged(ledger, Whose(user="ada"))
    assert await ledger.spent("key", "keyada0001", 0.0, NOW_S) == 7
    assert await ledger.spent("user", "ada", 0.0, NOW_S) == 0
    assert await ledger.spent("user", "bob", 0.0, NOW_S) == 7
    assert {row.user_id for row in await ledger.recent(10)} == {"", "bob", "adas-other", "old"}


async def test_a_purge_that_was_cut_off_goes_on(ledger, place):
    await to_thread(fill, place, TENANTS)
    whose, rounds = Whose(user="ada"), 0
    while not (made := await ledger.purge.some(whose, "cli", round_s=-1.0)).done:
        rounds += 1
        assert sum(made.rows.values()) <= 50
        assert rounds < 100
    assert rounds > 5
    assert "zebra-ada-zebra" not in str(await to_thread(dump, place))
    entries = await ledger.people.audit_log(100)
    assert len(entries) == rounds + 1
    assert {(one.action, one.kind, one.object_id) for one in entries} == {("purge", "user", "ada")}


async def test_jobs_that_have_not_ended_stay_and_are_counted(ledger, place):
    await to_thread(fill, place, TENANTS)
    await to_thread(queue, place, "job_ada")
    assert (await ledger.purge.count(Whose(user="ada"))).left == {"jobs": 1}
    assert (await purged(ledger, Whose(user="ada"))).left == {"jobs": 1}
    assert "zebra-ada-zebra" in (await to_thread(dump, place))["job_data"]


async def test_a_key_that_never_was_is_refused(ledger):
    with pytest.raises(NotFound):
        await ledger.purge.count(Whose(key="nobody"))


def test_every_table_is_told_of(database):
    assert [one.table for one in kept.TABLES] == sorted(database.tables())
