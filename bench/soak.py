"""`python -m bench.soak`: a real gateway under everything at once, for minutes or an hour. Rule: arguments in, a verdict out.

Exit code 0 when every promise was kept, 1 when one was not, 2 when the run could not begin.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop
from msgspec import Struct

from bench import process, soak_verdict, soak_watch
from bench.failures import BenchStopped
from bench.soak_inside import SIGNAL_TO_TRACE
from bench.soak_load import Load
from bench.soak_stage import Stage, opened
from bench.soak_verdict import Figures, Rest
from bench.soak_wire import Wires

if TYPE_CHECKING:
    from bench.soak_watch import Sample

_WARM_UP_S_MAX = 600.0
_SAMPLE_S = 1.0
_SAY_S = 30.0
_SETTLED_S_MAX = 60.0  # until the gateway is at rest after the load
_LOOKS = 5
# Counters of /metrics that count what must not happen.
ZEROS = (
    "gatemill_ledger_rows_lost_total",
    "gatemill_ledger_rows_rejected_total",
    "gatemill_ledger_holds_missed_total",
    "gatemill_ledger_journal_errors_total",
    "gatemill_ledger_commit_errors_total",
    "gatemill_limiter_settled_twice_total",
    "gatemill_jobs_commits_dropped_total",
)


class Plan(Struct, frozen=True):
    """How long and how much."""

    seconds: float
    rate_per_s: float
    seed: int = 1
    idle_s: float = 3.0  # after which the provider closes a kept connection

    @property
    def warm_up_s(self) -> float:
        """Time before memory is looked at."""
        return min(_WARM_UP_S_MAX, self.seconds / 3)

    @property
    def look_s(self) -> float:
        """Time between two looks at a gateway that comes to rest; `_LOOKS` are longer than `idle_s`."""
        return self.idle_s / 2


def main(arguments: list[str]) -> int:
    """The exit code."""
    asked = _parser().parse_args(arguments)
    plan = Plan(asked.minutes * 60, asked.rate, asked.seed)
    try:
        with contextlib.ExitStack() as stack:
            folder = Path(asked.keep or stack.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            cores = tuple(sorted(os.sched_getaffinity(0)))
            stage = stack.enter_context(opened(folder, cores, plan.idle_s, traced=asked.trace))
            say = sys.stderr.isatty() or asked.verbose
            found = uvloop.run(soaked(stage, plan, say=say))
    except BenchStopped as stopped:
        sys.stderr.write(f"soak: {stopped}\n")
        return 2
    wrong = soak_verdict.broken(found)
    if asked.json:
        Path(asked.json).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))
    sys.stdout.write(render(found, wrong))
    return 1 if wrong else 0


async def soaked(stage: Stage, plan: Plan, *, say: bool) -> Figures:
    """The whole run; the gateway has ended."""
    found = Figures(minutes=plan.seconds / 60, rate_per_s=plan.rate_per_s)
    wires = Wires(stage.port, stage.key)
    load = Load(wires, plan.rate_per_s, plan.seed)
    samples: list[Sample] = []
    loop = asyncio.get_running_loop()
    watching = loop.create_task(_watch(stage, samples, load, say=say))
    playing = loop.create_task(_played(stage, plan, load, found, samples))
    await asyncio.wait({watching, playing}, return_when=asyncio.FIRST_COMPLETED)
    for task in (watching, playing):
        task.cancel()  # whichever goes on; the gateway has ended if it is the load
    await asyncio.gather(watching, playing, return_exceptions=True)
    if not watching.cancelled():
        watching.result()
    first, last = playing.result()
    found.counters = await _counters(wires)
    found.operations = load.begun.total()
    found.scripted, found.failed = dict(load.scripted), dict(load.failed)
    found.failures, found.left_out = load.failures, load.left_out
    _lines(found, samples, first, last)
    found.metered = await asyncio.to_thread(stage.metered)
    found.exit_code = await asyncio.to_thread(stage.end)
    found.booked = stage.booked()
    found.loud = stage.loud()
    return found


async def _played(
    stage: Stage, plan: Plan, load: Load, found: Figures, samples: list[Sample]
) -> tuple[int, int]:
    """All load is over; which samples are of the time between warm-up and the end."""
    await load.each_once()
    await load.run(plan.warm_up_s)
    found.before = await _rest(stage, plan.look_s)
    first, cpu_s = len(samples), process.cpu_s(stage.gateway.pid)
    begin_s = time.monotonic()
    await load.run(plan.seconds - plan.warm_up_s)
    last, seconds = len(samples), time.monotonic() - begin_s
    found.cpu_share = (process.cpu_s(stage.gateway.pid) - cpu_s) / seconds
    found.after = await _rest(stage, plan.look_s)
    return first, last


def _lines(found: Figures, samples: list[Sample], first: int, last: int) -> None:
    """What the samples say, those of the time between warm-up and rest for the slopes."""
    steady = samples[first:last]
    total = soak_watch.slope([(each.at_s, each.rss_mb) for each in steady])
    own = soak_watch.slope([(each.at_s, each.anonymous_mb) for each in steady])
    found.slope_mb_per_h, found.slope_error = total.mb_per_h, total.error
    found.anonymous_mb_per_h, found.anonymous_error = own.mb_per_h, own.error
    found.rss_mb_max = max(each.rss_mb for each in samples)
    found.fds_max = max(each.fds for each in samples)
    found.wal_mb_max = max(each.wal_mb for each in samples)
    found.journal_mb_max = max(each.journal_mb for each in samples)


async def _watch(stage: Stage, samples: list[Sample], load: Load, *, say: bool) -> None:
    begin_s = said_s = time.monotonic()
    while True:
        now_s = time.monotonic()
        one = stage.watched.sample(now_s - begin_s)
        samples.append(one)
        if say and now_s - said_s >= _SAY_S:
            said_s = now_s
            sys.stderr.write(
                f"{one.at_s:6.0f} s  {load.begun.total()} operations, {load.failed.total()} failed,"
                f" RSS {one.rss_mb:.1f} MB, {one.fds} files, {one.threads} threads\n"
            )
        await asyncio.sleep(_SAMPLE_S)


async def _rest(stage: Stage, look_s: float) -> Rest:
    """The gateway has nothing to do: its files and tasks have been the same in so many looks."""
    until_s = time.monotonic() + _SETTLED_S_MAX
    seen: list[tuple[int, int]] = []
    while True:
        inside, sample = await stage.watched.look(), stage.watched.sample(0.0)
        seen.append((sample.fds, inside.tasks))
        same = len(seen) >= _LOOKS and len(set(seen[-_LOOKS:])) == 1
        if same or time.monotonic() > until_s:
            inside = await stage.watched.look(SIGNAL_TO_TRACE)
            return Rest(sample.rss_mb, sample.fds, sample.threads, inside)
        await asyncio.sleep(look_s)


async def _counters(wires: Wires) -> dict[str, float]:
    page = (await wires.ask(wires.request("GET", "/metrics"))).body.decode()
    wires.close()
    lines = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    values = {name: float(value) for name, _, value in lines}
    return {name: values[name] for name in ZEROS}


def render(found: Figures, wrong: list[str]) -> str:
    """The figures and the verdict, ending in a line break."""
    assert found.before is not None
    assert found.after is not None
    before, after = found.before, found.after
    scripted, failed = sum(found.scripted.values()), sum(found.failed.values())
    attempts = sum(each.asked for each in found.metered.values())
    rows = sum(each.attempts for each in found.booked.values())
    cost = sum(each.cost_microusd for each in found.booked.values())
    long = found.minutes >= soak_verdict.LONG_MINUTES
    slope = f"{found.slope_mb_per_h:+.2f} ± {found.slope_error:.2f} MB/h, anonymous {found.anonymous_mb_per_h:+.2f}"
    judged = "" if long else f"; not judged below {soak_verdict.LONG_MINUTES:g} minutes"
    rss = f"{before.rss_mb:.1f} MB at rest after warm-up, {after.rss_mb:.1f} at the end"
    lines = [
        f"soak: {found.minutes:g} minutes at {found.rate_per_s:g}/s: {found.operations:,} operations",
        f"  failures     {failed:,} caused by the gateway, {scripted:,} as the provider's script demands",
        f"  memory       {rss}, {found.rss_mb_max:.1f} at most",
        f"  slope        {slope} ± {found.anonymous_error:.2f}{judged}",
        f"  open files   {before.fds} -> {after.fds} at rest, {found.fds_max} at most",
        f"  tasks        {before.inside.tasks} -> {after.inside.tasks}; threads {before.threads} -> {after.threads}",
        f"  disk         journal {found.journal_mb_max:.1f} MB, WAL {found.wal_mb_max:.1f} MB at most",
        f"  accounts     {attempts:,} attempts at the provider, {rows:,} rows, ${cost / 1e6:,.6f}",
        f"  gateway      {found.cpu_share:.0%} of a core, exit code {found.exit_code}",
    ]
    if found.left_out:
        lines.append(f"  left out     {found.left_out:,} operations: the machine did not keep up")
    lines += [f"  failure      {text}" for text in found.failures[:10]]
    lines += [f"  log          {text}" for text in found.loud[:5]]
    lines += [f"  BROKEN       {text}" for text in wrong]
    lines.append(f"  verdict      {'failed' if wrong else 'holds'}")
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description="A gateway under everything at once."
    )
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="how long; 60 before a release")
    add("--rate", type=float, default=200.0, help="operations a second")
    add("--seed", type=int, default=1, help="which operations")
    add("--json", metavar="FILE", help="write all figures there")
    add("--keep", metavar="DIR", help="leave data and logs there")
    add("--trace", action="store_true", help="--json also says who holds memory at rest; slow")
    add("--verbose", action="store_true", help="a line each half minute, also without a terminal")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
