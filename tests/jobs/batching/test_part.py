from types import SimpleNamespace

import pytest

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.jobs.batching.part import SAVE_BYTES, SAVE_LINES, WAITING_BYTES_MAX, Kept
from gatemill.jobs.eventlog import Lost
from gatemill.ledger.batches import LineResult


class Store:
    """A ledger's batches, of which the first saves may fail."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.saved = []
        self.tries = 0

    async def save(self, claimed, batch_id, results):
        self.tries += 1
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.saved.extend(result.line for result in results)
        return answer


def kept_in(store):
    ledger = SimpleNamespace(batches=store)
    ctx = SimpleNamespace(services=SimpleNamespace(ledger=ledger), claimed=None)
    return Kept(ctx, "batch_1")


def result(line, size=1):
    return LineResult(line, succeeded=True, data=b"x" * size)


async def test_results_are_saved_in_company():
    store = Store()
    kept = kept_in(store)
    for line in range(SAVE_LINES - 1):
        await kept.add(result(line))
    assert store.tries == 0
    await kept.add(result(SAVE_LINES))
    assert len(store.saved) == SAVE_LINES
    await kept.add(result(1000, SAVE_BYTES))
    assert store.tries == 2


async def test_what_a_database_that_is_away_does_not_take_is_saved_later():
    store = Store(LedgerUnavailable("away"), Overloaded("busy"))
    kept = kept_in(store)
    await kept.add(result(1))
    await kept.save_all()
    assert (store.saved, store.tries) == ([1], 3)
    await kept.save_all()
    assert store.tries == 3


async def test_memory_is_bounded_while_the_database_is_away():
    store = Store(LedgerUnavailable("away"), LedgerUnavailable("away"))
    kept = kept_in(store)
    await kept.add(result(1, WAITING_BYTES_MAX + 1))
    assert (store.saved, store.tries) == ([1], 3)


async def test_a_claim_that_has_ended_ends_the_work():
    store = Store(False)
    kept = kept_in(store)
    await kept.add(result(1))
    with pytest.raises(Lost):
        await kept.save_all()
    with pytest.raises(Lost):
        await kept.add(result(2))
    await kept.save_often()
    assert (store.saved, store.tries) == ([], 1)
