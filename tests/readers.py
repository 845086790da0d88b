"""Readers of an SQLite file that take turns so that there is always one."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Semaphore, Thread
from typing import TYPE_CHECKING

from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.ledger.place import Place

# As long as a report: some hundredths of a second.
_LOOK = queries.literal(
    "look",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " SELECT count(*) AS times FROM n CROSS JOIN facts",
)


@contextmanager
def always(place: Place) -> Iterator[None]:
    """Two connections read; none ends before the other has begun."""
    ended = Event()
    turns = Semaphore(0), Semaphore(0)
    began = Semaphore(0)

    def read(mine: Semaphore, other: Semaphore, *, first: bool) -> None:
        database = place.open(writes=False)
        if not first:
            mine.acquire()
        while not ended.is_set():
            with database.snapshot():
                database.rows(_LOOK)
                other.release()
                began.release()
                mine.acquire()
        other.release()
        database.close()

    threads = [
        Thread(target=read, args=turns, kwargs={"first": True}),
        Thread(target=read, args=turns[::-1], kwargs={"first": False}),
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            began.acquire()
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
