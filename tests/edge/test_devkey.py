"""The key of the first start, and the door that nobody could close."""

from __future__ import annotations

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import StartRefused
from gatemill.edge.devkey import ensure_dev_key, first_link, refuse_open_door
from gatemill.ledger.ledger import Ledger


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def ledger(tmp_path, clock):
    found = Ledger.open(tmp_path, None, clock)
    yield found
    await found.close()


async def test_the_first_start_makes_one_admin_key_that_only_its_owner_reads(ledger, tmp_path):
    path = await ensure_dev_key(ledger, tmp_path, wanted=True)
    assert path.stat().st_mode & 0o777 == 0o600
    key = ledger.identify(path.read_bytes().strip())
    assert key.admin
    await ledger.revoke_key(key.id)
    for number in range(3):  # newer ones
        await ledger.create_key(f"n{number}")
    text = path.read_text()
    assert await ensure_dev_key(ledger, tmp_path, wanted=True) == path
    assert path.read_text() == text
    assert sum(one.key.admin for one in await ledger.list_keys(10)) == 1


async def test_an_address_of_others_needs_an_admin_key_that_works(ledger, clock):
    await ledger.create_key("plain")
    with pytest.raises(StartRefused, match=r"0\.0\.0\.0 .* gatemill keys create NAME --admin"):
        await refuse_open_door(ledger, "0.0.0.0", clock.unix_s())
    ends_s = clock.unix_s() + 60
    admin = (await ledger.create_key("admin", admin=True, expires_s=ends_s)).key
    await refuse_open_door(ledger, "0.0.0.0", clock.unix_s())
    with pytest.raises(StartRefused):
        await refuse_open_door(ledger, "0.0.0.0", ends_s)
    await ledger.revoke_key(admin.id)
    with pytest.raises(StartRefused):
        await refuse_open_door(ledger, "0.0.0.0", clock.unix_s() + 1)


async def test_the_first_start_makes_a_link_for_whoever_sees_it(ledger, tmp_path):
    path = await ensure_dev_key(ledger, tmp_path, wanted=True)
    assert await first_link(ledger, path, wanted=False) == ""
    assert await first_link(ledger, None, wanted=True) == ""
    token = await first_link(ledger, path, wanted=True)
    key = ledger.identify(path.read_bytes().strip())
    assert await ledger.sessions.take_link(token) == key.id
    assert (await ledger.people.audit_log(1))[0].actor == "start"
