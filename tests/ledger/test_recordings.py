"""Recordings in the ledger, on SQLite and on Postgres."""

from __future__ import annotations

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import NotFound
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.recordings import Recording, Sieve

NOW_S = 1_763_700_000.0


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def kept(place, tmp_path, clock):
    opened = Ledger.open(tmp_path, place.url, clock)
    yield opened.recordings
    await opened.close()


def made(number, **fields):
    said = {
        "request_id": f"req_{number:03}",
        "at": NOW_S + number,
        "key_id": "k1",
        "operation": "chat",
        "model": "m",
        "streamed": False,
        "status": 200,
        "error": "",
        "cache": "",
        "size": 100,
        "body": b"{}",
        "filled": None,
        "answer": bytes(range(256)),
    }
    return Recording(**{**said, **fields})


async def test_a_recording_comes_back_as_it_was(kept):
    whole = made(1, streamed=True, filled=b"\x00", cache="hit", error="overloaded", status=503)
    await kept.keep([whole, made(2, answer=b"")])
    await kept.keep([made(1, body=b"another")])
    assert await kept.get("req_001") == whole
    assert (await kept.get("req_002")).filled is None
    with pytest.raises(NotFound):
        await kept.get("req_003")


async def test_they_are_listed_by_filter_and_page(kept):
    await kept.keep(
        [
            made(1),
            made(2, model="other"),
            made(3, key_id="k2", error="overloaded"),
            made(4, operation="messages"),
        ]
    )

    async def ids(limit=10, after="", **fields):
        found = await kept.listed(Sieve(**fields), limit, after)
        return [int(one.request_id[4:]) for one in found]

    assert await ids() == [4, 3, 2, 1]
    assert await ids(2) == [4, 3]
    assert await ids(2, "req_003") == [2, 1]
    assert await ids(model="other") == [2]
    assert await ids(key="k2") == [3]
    assert await ids(operation="messages") == [4]
    assert await ids(ended="ok") == [4, 2, 1]
    assert await ids(ended="error") == [3]
    assert await ids(since_s=NOW_S + 2, until_s=NOW_S + 3) == [3, 2]


async def test_one_or_all_that_pass_are_deleted(kept):
    await kept.keep([made(number, model="ab"[number % 2]) for number in range(450)])
    await kept.delete("req_000")
    with pytest.raises(NotFound):
        await kept.delete("req_000")
    assert await kept.delete_all(Sieve(model="a")) == 224
    assert await kept.delete_all(Sieve(model="a")) == 0
    assert len(await kept.listed(Sieve(), 1000)) == 225


async def test_they_go_by_age_and_when_they_take_too_much_room(kept, clock):
    await kept.keep([made(number) for number in range(400)])
    clock.advance(100)
    assert await kept.retain(50.0, 100 * 400) == 51
    assert await kept.retain(1e6, 100 * 200) == 200  # in groups of 200, the oldest first
    left = await kept.listed(Sieve(), 1000)
    assert [one.request_id for one in left][-1] == "req_251"
