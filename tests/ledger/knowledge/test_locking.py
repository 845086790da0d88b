"""Two processes at one store of Postgres: nobody waits for somebody who waits for him."""

from __future__ import annotations

import asyncio
import threading

import pytest

import databases
from gatemill.core.clock import FakeClock
from gatemill.ledger import queries
from gatemill.ledger.knowledge import documents, stores
from gatemill.ledger.knowledge.documents import Filling, NewDocument
from gatemill.ledger.knowledge.rows import COMPLETED
from gatemill.ledger.knowledge.stores import NewStore
from gatemill.ledger.ledger import Ledger

OWNER = "key:a"
WAITING = queries.literal(
    "waiting",
    "SELECT 1 AS one FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
)
STORE = NewStore(
    id="vs_1",
    owner=OWNER,
    name="n",
    description="",
    mode="keyword",
    embedder="",
    metadata="{}",
    expires_days=None,
)
CHANGES = {
    "detach": lambda db, store: documents.hide(db, store, "d", 0.0),
    "attributes": lambda db, store: documents.set_attributes(db, store, "d", "{}", 0.0),
    "forget": lambda db, _store: documents.forget_file(db, "d", OWNER, 0.0),
}


@pytest.fixture
def place(tmp_path):
    with databases.empty("postgres", tmp_path) as found:
        yield found


@pytest.fixture
async def pair(place, tmp_path):
    both = [Ledger.open(tmp_path, place.url, FakeClock(1_763_700_000.0)) for _ in range(2)]
    yield [one.knowledge for one in both]
    for one in both:
        await one.close()


@pytest.mark.parametrize("name", CHANGES)
async def test_a_document_changes_while_another_process_completes_it(pair, name):
    first, second = pair
    store = await first.create(STORE, 10)
    new = NewDocument(id="d", title="t", is_file=True)
    (document,) = await first.begin(store, [new], Filling())
    locked = threading.Event()

    def complete(database):
        stores.lock(database, store.id, OWNER)
        locked.set()
        while not database.rows(WAITING):
            pass  # the other has come as far as it comes
        return documents.end(database, document.number, COMPLETED, "", "", 0.0)

    def change(database):
        locked.wait()
        return CHANGES[name](database, store)

    ended, _ = await asyncio.gather(first._write(complete), second._write(change))
    assert ended
