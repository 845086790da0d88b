"""A process with a ledger, for tests that kill it or work beside it.

python recording.py <data_dir> endlessly <name>   records until it is killed; prints each id after record()
python recording.py <data_dir> attempts <name>    holds and records attempts until it is killed; prints what it did
python recording.py <data_dir> some <name> <n>    records n rows and closes
python recording.py <data_dir> key <name>         creates a key, prints id and secret; revokes it on a line
python recording.py <data_dir> cramped <name>     records with a file size limit, then without
"""

import asyncio
import itertools
import os
import random
import resource
import sys
import time
from pathlib import Path

import msgspec
import structlog

from gatemill.core.clock import SystemClock
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.upkeep import SPARE_ROWS_MAX
from usage_rows import usage_row


def say(line):
    os.write(1, f"{line}\n".encode())


async def endlessly(ledger, name):
    for number in itertools.count():
        row = usage_row(f"{name}-{number}")
        ledger.record(row)
        say(row.attempt_id)


async def attempts(ledger, name):
    """As a gateway with many attempts under way: held, "sent", and at some time over."""
    chance = random.Random(name)
    under_way = []
    for number in itertools.count():
        row = usage_row(f"{name}-{number}", at=time.time())
        slot = ledger.hold(
            msgspec.structs.replace(row, unsettled=True, error="unsettled", cost_microusd=999)
        )
        say(f"sent {row.attempt_id}")
        under_way.append((row, slot))
        while under_way and chance.random() < len(under_way) / 40:
            row, slot = under_way.pop(chance.randrange(len(under_way)))
            ledger.record(row)
            ledger.release(slot)
            say(f"over {row.attempt_id}")


async def some(ledger, name, count):
    for number in range(int(count)):
        ledger.record(usage_row(f"{name}-{number}"))


async def key(ledger, name):
    new = await ledger.create_key(name)
    say(f"{new.key.id} {new.secret}")
    sys.stdin.readline()
    await ledger.revoke_key(new.key.id)
    say("revoked")


async def cramped(ledger, name):
    """As on a full disk: no file grows, neither journal nor database."""
    ledger.record(usage_row(f"{name}-before"))
    await ledger.flushed()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    counters = ledger.counters
    # The journal has its first blocks already; what does not fit there goes to memory.
    while counters.journal_errors < SPARE_ROWS_MAX + 7:
        ledger.record(usage_row(f"{name}-{counters.rows_recorded}"))
    say(f"{counters.journal_errors} {counters.rows_lost} {ledger.healthy()}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    ledger.record(usage_row(f"{name}-after"))
    await ledger.flushed()
    missing = counters.rows_recorded - counters.rows_written
    say(f"{counters.rows_recorded} {missing} {counters.rows_pending} {ledger.healthy()}")


async def main():
    folder, scene, *rest = sys.argv[1:]
    ledger = Ledger.open(Path(folder), None, SystemClock())
    say("open")
    await {
        "endlessly": endlessly,
        "attempts": attempts,
        "some": some,
        "key": key,
        "cramped": cramped,
    }[scene](ledger, *rest)
    await ledger.close()


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main())
