"""Processes that die, and processes side by side."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import heavy
from crews import until
from gatemill.core.clock import FakeClock, SystemClock
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.upkeep import SETTLE_AFTER_S, TIDY_S

KILLS = int(os.environ.get("GATEMILL_TEST_KILLS", "6"))
PATIENCE_S = 90.0
SCRIPT = Path(__file__).with_name("recording.py")


def start(folder, *scene, log=None):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), *scene],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={"PYTHONPATH": str(SCRIPT.parents[1])},
        text=True,
    )


def read_until_killed(process, lines):
    """All complete lines that the process printed before its death."""
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    # Not communicate(): it would forget what readline() has read ahead.
    said += process.stdout.readlines()
    process.communicate(timeout=PATIENCE_S)
    return [line.strip() for line in said if line[-1:] == "\n"]


async def recorded(folder):
    """The ids in the database once all that dead processes left is in it, and the counters."""
    ledger = Ledger.open(folder, None, SystemClock())
    await ledger.close()
    with closing(sqlite3.connect(folder / "gatemill.db")) as database:
        found = database.execute("SELECT attempt_id FROM usage").fetchall()
    return [attempt_id for (attempt_id,) in found], ledger.counters


async def test_every_recorded_row_survives_kill_9_exactly_once(tmp_path):
    promised = []
    for number in range(KILLS):
        process = start(tmp_path, "endlessly", f"run{number}")
        opening, *ids = read_until_killed(process, random.randint(2, 3_000))
        assert opening == "open"
        promised += ids
    found, counters = await recorded(tmp_path)
    assert len(promised) > KILLS
    assert set(promised) <= set(found)
    assert len(found) == len(set(found))
    assert len(found) <= len(promised) + KILLS  # at most the row whose id was not printed yet
    assert counters.rows_rejected == 0
    assert list((tmp_path / "journal").iterdir()) == []


async def test_every_attempt_that_was_sent_has_one_settled_row_after_many_kills(tmp_path):
    sent, over = set(), set()
    for number in range(KILLS // 2):
        # Two at a time: each dies beside one that lives, and leaves its attempts to it.
        pair = [start(tmp_path, "attempts", f"{side}{number}") for side in ("left", "right")]
        for process in pair:
            _, *said = read_until_killed(process, random.randint(2, 400))
            sent |= {line[5:] for line in said if line.startswith("sent ")}
            over |= {line[5:] for line in said if line.startswith("over ")}
    found = await settled(tmp_path)
    ids = [attempt_id for attempt_id, _, _ in found]
    assert len(ids) == len(set(ids))
    assert sent <= set(ids)
    assert len(ids) <= len(sent) + KILLS  # held, and not yet said to be sent
    assert not any(unsettled for _, _, unsettled in found)
    costs = {attempt_id: cost for attempt_id, cost, _ in found}
    assert {costs[attempt_id] for attempt_id in over} == {250}
    assert set(costs.values()) == {250, 999}
    assert list((tmp_path / "journal").iterdir()) == []


async def settled(folder):
    """(attempt, cost, unsettled) of all rows, less than a minute after the next start."""
    clock = FakeClock(time.time())
    ledger = Ledger.open(folder, None, clock)
    clock.advance(SETTLE_AFTER_S + TIDY_S)
    query = "SELECT attempt_id, cost_microusd, unsettled FROM usage"
    with closing(sqlite3.connect(folder / "gatemill.db")) as database:
        async with asyncio.timeout(PATIENCE_S):
            found = database.execute(query).fetchall()
            while any(unsettled for _, _, unsettled in found):
                await ledger.recent(1)
                found = database.execute(query).fetchall()
        spent = sum(row[1] for row in found)
    assert await ledger.spent("key", "abcdefghij", 0.0, 1e10) == spent
    await ledger.close()
    assert ledger.counters.rows_rejected == 0
    return found


async def test_two_processes_record_into_one_database(tmp_path):
    ledger = Ledger.open(tmp_path, None, SystemClock())
    processes = [start(tmp_path, "some", name, "1500") for name in ("left", "right")]
    codes = [await asyncio.to_thread(process.wait, PATIENCE_S) for process in processes]
    for process in processes:
        process.communicate()
    found = (await ledger.totals(0.0, 2e9))[0]
    await ledger.close()
    assert codes == [0, 0]
    assert found.attempts == 3_000


async def test_keys_changed_by_another_process_are_noticed_within_a_second(tmp_path):
    ledger = Ledger.open(tmp_path, None, SystemClock())
    process = start(tmp_path, "key", "visitor")
    assert await asyncio.to_thread(process.stdout.readline) == "open\n"
    key_id, secret = (await asyncio.to_thread(process.stdout.readline)).split()
    key = await changed(ledger, secret, lambda key: key is not None)
    assert (key.id, key.name, key.revoked_s) == (key_id, "visitor", None)
    process.stdin.write("now\n")
    process.stdin.flush()
    assert await asyncio.to_thread(process.stdout.readline) == "revoked\n"
    key = await changed(ledger, secret, lambda key: key.revoked_s is not None)
    assert key.id == key_id
    process.communicate(timeout=PATIENCE_S)
    await ledger.close()


async def changed(ledger, secret, wanted):
    """The key of the secret, as soon as it is as wanted; a second from now is promised."""

    def found():
        return ledger.keys.identify(secret.encode())

    await until(lambda: wanted(found()), "the change is known", heavy.within(1.0))
    return found()


async def test_a_full_disk_costs_rows_only_when_memory_is_full_too(tmp_path):
    with (tmp_path / "log").open("w") as log:  # which is on the full disk as well
        process = start(tmp_path, "cramped", "row", log=log)
    said, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    assert process.returncode == 0
    opening, full, after = said.splitlines()
    assert opening == "open"
    assert full == "10007 7 False"
    count, _, state = after.partition(" ")
    assert state == "7 0 True"
    found, counters = await recorded(tmp_path)
    assert len(set(found)) == len(found) == int(count) - 7 > 20_000
    assert counters.rows_rejected == counters.rows_torn == 0
    assert list((tmp_path / "journal").iterdir()) == []
