"""A process with a ledger, for tests that kill it or work beside it.

python recording.py <data_dir> endlessly <name>   records until it is killed; prints each id after record()
python recording.py <data_dir> some <name> <n>    records n rows and closes
python recording.py <data_dir> key <name>         creates a key, prints id and secret; revokes it on a line
python recording.py <data_dir> cramped <name>     records with a file size limit, then without
"""

import asyncio
import itertools
import os
import resource
import sys
from pathlib import Path

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
    await {"endlessly": endlessly, "some": some, "key": key, "cramped": cramped}[scene](
        ledger, *rest
    )
    await ledger.close()


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main())
