"""What a job says reaches the ledger in order, without gaps, and not without end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.jobs import eventlog
from gatemill.jobs.eventlog import EventLog, Lost


class Ledger:
    """Takes events, unless it is away."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.away = False
        self.is_ours = True

    async def append(self, events: Sequence[bytes]) -> bool:
        if self.away:
            raise LedgerUnavailable("away")
        self.events += events
        return self.is_ours


async def test_what_the_ledger_did_not_take_comes_before_what_is_said_later():
    ledger = Ledger()
    log = EventLog(ledger.append)
    ledger.away = True
    await log.add([b"one"])
    with pytest.raises(LedgerUnavailable):
        await log.flush()
    ledger.away = False
    await log.add([b"two"])
    await log.flush()
    log.close()
    assert ledger.events == [b"one", b"two"]


async def test_what_is_being_written_when_the_job_is_told_to_stop_is_written():
    ledger, asked, answers = Ledger(), asyncio.Event(), asyncio.Event()

    async def append(events: Sequence[bytes]) -> bool:
        asked.set()
        await answers.wait()
        return await ledger.append(events)

    log = EventLog(append)
    await log.add([b"one"])
    flushing = asyncio.ensure_future(log.flush())
    await asked.wait()
    flushing.cancel()
    await asyncio.wait((flushing,))
    assert flushing.cancelled()
    answers.set()
    await log.add([b"two"])
    await log.flush()
    log.close()
    assert ledger.events == [b"one", b"two"]


async def test_nothing_is_said_for_a_claim_that_has_ended():
    ledger = Ledger()
    ledger.is_ours = False
    log = EventLog(ledger.append)
    await log.add([b"one"])
    with pytest.raises(Lost):
        await log.flush()
    log.close()


async def test_a_job_that_says_too_much_is_told_so(monkeypatch):
    monkeypatch.setattr(eventlog, "SAID_BYTES_MAX", 10)
    log = EventLog(Ledger().append)
    await log.add([b"12345", b"67890"])
    with pytest.raises(InvalidValue, match="more than 10 bytes"):
        await log.add([b"1"])
    log.close()
