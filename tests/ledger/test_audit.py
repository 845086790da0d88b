from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.limits import Limits
from gatemill.ledger import audit, keys
from gatemill.ledger.audit import AuditEntry, Entry
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.teams import Team

WRITERS, EACH = 4, 10
DAY_S = 86_400.0


def entry(number, **detail):
    return Entry(float(number), "cli", "update", "team", f"t{number}", detail)


def test_entries_come_newest_first_and_page_by_page(database):
    for number in range(5):
        with audit.changing(database):
            audit.add(database, entry(number, name=["a", "b"]))
    first = audit.listed(database, 2, None)
    assert [one.object_id for one in first] == ["t4", "t3"]
    second = audit.listed(database, 2, first[-1].id)
    assert [one.object_id for one in second] == ["t2", "t1"]
    detail = {"name": ["a", "b"]}
    assert first[0] == AuditEntry(4.0, "cli", "update", "team", "t4", detail, id=5)


def test_a_change_that_fails_leaves_no_entry_and_no_new_version(database):
    version = keys.read_version(database)

    def fail():
        with audit.changing(database):
            audit.add(database, entry(1))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert audit.listed(database, 10, None) == []
    assert keys.read_version(database) == version


def test_changes_of_several_processes_get_numbers_of_their_own(place, database):
    together = Barrier(WRITERS)

    def write(number):
        own = place.open(writes=True)
        try:
            together.wait(60.0)
            for _ in range(EACH):
                with audit.changing(own):
                    audit.add(own, entry(number))
        finally:
            own.close()

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))
    found = [one.id for one in audit.listed(database, 1_000, None)]
    assert found == list(range(WRITERS * EACH, 0, -1))


def test_a_difference_names_what_changed_only():
    old, new = Team("t", "a", Limits(concurrency=2)), Team("t", "b", Limits(concurrency=2))
    assert audit.difference(old, new) == {"name": ["a", "b"]}
    assert audit.difference(old, old) == {}


async def test_entries_go_when_they_are_older_than_the_days_that_they_are_kept(tmp_path):
    clock = FakeClock(unix_s=100 * DAY_S)
    ledger = Ledger.open(tmp_path, None, clock)
    try:
        await ledger.create_key("old")
        clock.advance(2 * DAY_S)
        await ledger.create_key("new")
        assert await ledger.retain_audit(3) == 0
        assert await ledger.retain_audit(1) == 1
        (left,) = await ledger.people.audit_log(10)
        assert left.detail["name"] == "new"
    finally:
        await ledger.close()
