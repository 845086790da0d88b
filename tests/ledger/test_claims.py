import asyncio

import pytest

from gatemill.core.clock import FakeClock
from gatemill.ledger import claims
from gatemill.ledger.claims import BODY_BYTES_MAX, Claims, Done, New, Other, Running
from writing import writing

NOW_S = 1_763_700_000.0
HEADERS = (("content-type", "application/json"), ("x-name", "ä"))
ANSWER = Done(200, HEADERS, b'{"bytes": "\x00\xff"}')
DAY_S = 86_400.0


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def write(place):
    async with writing(place) as found:
        yield found


@pytest.fixture
def store(write, clock):
    return Claims(write, "owner", clock)


def claim(store, *, key="key", idem="once", fingerprint="body", request="req_1", for_s=60.0):
    return store.claim(key, idem, fingerprint, request, NOW_S + for_s)


async def test_the_first_to_ask_runs_and_the_others_wait(store, clock):
    assert await claim(store) == New()
    assert await claim(store, request="req_2") == Running(1.0)
    clock.advance(7.0)
    assert await claim(store, request="req_3") == Running(7.0)


async def test_whoever_asks_later_is_given_the_answer(store):
    await claim(store)
    assert await store.finish_claim("key", "once", "req_1", ANSWER, DAY_S)
    assert await claim(store, request="req_2") == ANSWER


async def test_another_request_with_the_same_key_is_told_so(store):
    await claim(store)
    assert await claim(store, fingerprint="other") == Other()
    await store.finish_claim("key", "once", "req_1", ANSWER, DAY_S)
    assert await claim(store, fingerprint="other") == Other()


async def test_keys_of_different_owners_do_not_meet(store):
    assert await claim(store) == New()
    assert await claim(store, key="another") == New()
    assert await claim(store, idem="twice") == New()


async def test_a_dropped_claim_can_be_made_again(store):
    await claim(store)
    await store.drop_claim("key", "once", "req_2")  # not theirs
    assert await claim(store, request="req_3") == Running(1.0)
    await store.drop_claim("key", "once", "req_1")
    assert await claim(store, request="req_3") == New()


async def test_an_answer_is_not_dropped(store):
    await claim(store)
    await store.finish_claim("key", "once", "req_1", ANSWER, DAY_S)
    await store.drop_claim("key", "once", "req_1")
    assert await claim(store) == ANSWER


async def test_a_claim_beyond_its_deadline_goes_to_the_next_and_its_answer_is_ignored(store, clock):
    await claim(store, for_s=60.0)
    clock.advance(60.0)
    assert await claim(store, request="req_2", fingerprint="other", for_s=120.0) == New()
    assert not await store.finish_claim("key", "once", "req_1", ANSWER, DAY_S)
    assert await claim(store, request="req_3", fingerprint="other", for_s=120.0) == Running(1.0)
    assert await store.finish_claim("key", "once", "req_2", ANSWER, DAY_S)


async def test_an_answer_is_forgotten_after_its_time(store, clock, write):
    await claim(store)
    await store.finish_claim("key", "once", "req_1", ANSWER, DAY_S)
    clock.advance(DAY_S)
    assert await write(lambda db: claims.drop_expired(db, clock.unix_s() - 1)) == 0
    assert await write(lambda db: claims.drop_expired(db, clock.unix_s())) == 1
    assert await claim(store, fingerprint="other", for_s=DAY_S + 60) == New()


async def test_expired_ones_are_deleted_a_bounded_number_at_a_time(store, write):
    for n in range(claims.EXPIRED_ROWS + 3):
        await claim(store, idem=f"{n}")
    assert await write(lambda db: claims.drop_expired(db, NOW_S + 60)) == claims.EXPIRED_ROWS
    assert await write(lambda db: claims.drop_expired(db, NOW_S + 60)) == 3


async def test_what_a_dead_process_ran_can_be_claimed_and_what_it_answered_stays(store, write):
    await claim(store, idem="answered")
    await store.finish_claim("key", "answered", "req_1", ANSWER, DAY_S)
    await claim(store)
    assert await write(lambda db: claims.drop_owner(db, "nobody")) == 0
    assert await write(lambda db: claims.drop_owner(db, "owner")) == 1
    assert await claim(store, request="req_2") == New()
    assert await claim(store, idem="answered") == ANSWER


async def test_an_answer_beyond_all_bounds_is_not_kept(store):
    await claim(store)
    huge = Done(200, (), bytes(BODY_BYTES_MAX + 1))
    assert not await store.finish_claim("key", "once", "req_1", huge, DAY_S)
    assert await claim(store, request="req_2") == New()


async def test_a_claim_that_comes_and_goes_all_the_time_is_said_to_run(clock):
    class Fickle:
        """A database whose row is gone whenever one looks: others claim and drop it."""

        def run(self, query, params):
            return 0

        def rows(self, query, params):
            return []

    async def write(work):
        return work(Fickle())

    assert await claim(Claims(write, "owner", clock)) == Running(1.0)


async def test_one_of_a_hundred_in_two_processes_runs(place, store, clock):
    # Two threads with a connection each are to the database what two processes are.
    async with writing(place) as write:
        stores = (store, Claims(write, "other", clock))
        found = await asyncio.gather(
            *(claim(each, request=f"req_{n}") for n in range(50) for each in stores)
        )
    assert found.count(New()) == 1
    assert found.count(Running(1.0)) == 99
