"""The measures, subject by subject in rounds. Rule: all subjects of a round run within seconds."""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from bench import load, process, stage
from bench.failures import BenchStopped
from bench.figures import DIRECT, LIMIT, Tally, percentile
from bench.payloads import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.stage import Live, Stage

MEASURES = ("memory", "chat", "burst", "paced", "latency", "start")

_SLOW_PER_S = 500.0  # below this many chats per second a subject takes part in `slow_rounds` only
_SETTLE_S = 0.3  # work that follows the answers (ledger, log) belongs to them
_IDLE_S = 1.0


class Plan(Struct, frozen=True):
    """How much is measured; every number is a bound."""

    rounds: int
    slow_rounds: int
    direct_rounds: int  # of the full-speed chat, for the upstream's headroom
    load_s: float  # of one subject in one round
    paced_streams: int  # of one subject in one round
    latency_s: float
    latency_per_s: float
    latency_samples: int  # at least, for slow subjects
    memory_chats: int  # before the memory is read again
    memory_s: float  # or this long, for slow subjects
    starts: int
    slow_starts: int


FULL = Plan(
    rounds=9,
    slow_rounds=3,
    direct_rounds=3,
    load_s=2.0,
    paced_streams=512,
    latency_s=3.0,
    latency_per_s=400.0,
    latency_samples=100,
    memory_chats=100_000,
    memory_s=20.0,
    starts=5,
    slow_starts=3,
)
QUICK = Plan(
    rounds=3,
    slow_rounds=1,
    direct_rounds=1,
    load_s=1.0,
    paced_streams=192,
    latency_s=1.0,
    latency_per_s=400.0,
    latency_samples=40,
    memory_chats=20_000,
    memory_s=3.0,
    starts=3,
    slow_starts=0,
)


class Run:
    """One run over the stage; its tally and notes are complete when `measure` returns."""

    def __init__(self, stage_: Stage, plan: Plan, measures: Sequence[str]) -> None:
        self.stage = stage_
        self.plan = plan
        self.measures = measures
        self.tally = Tally()
        self.notes: list[str] = []
        self.setups: dict[str, str] = {}
        self._busy: dict[str, list[float]] = {}  # share of its core, full-speed chat
        self._slow: set[str] = set()
        self._first_start_s: dict[str, float] = {}  # counted only where there is no other

    def measure(self, names: Sequence[str]) -> None:
        """Every wanted measure of every named subject."""
        with contextlib.ExitStack() as stack:
            lives = [self._raise(stack, name) for name in names]
            direct = stage.direct(self.stage)
            for live in [direct, *lives]:
                stage.calibrated(self.stage, live, "chat")
                if live.rates_s["chat"] < _SLOW_PER_S:
                    self._slow.add(live.name)
            if "memory" in self.measures:
                self._memory(lives)
            if "chat" in self.measures:
                self._chat(direct, lives)
            if "burst" in self.measures:
                self._streams(lives, "burst")
            if "paced" in self.measures:
                self._streams(lives, "paced")
            if "latency" in self.measures:
                self._latency(direct, lives)
            for live in lives:
                self.tally.add("failed", live.name, live.failed)
        if "start" in self.measures:
            self._starts(names)

    def _raise(self, stack: contextlib.ExitStack, name: str) -> Live:
        say(f"starting {name}")
        live, start_s = stack.enter_context(stage.started(self.stage, name))
        self.setups[name] = live.setup
        say(f"{name} answers after {start_s:.2f} s")
        self._first_start_s[name] = start_s
        time.sleep(_IDLE_S)
        if "memory" in self.measures:
            self._read_memory(live, "idle")
        return live

    def _turns(self, lives: Sequence[Live], rounds: int, what: str) -> Iterator[tuple[int, Live]]:
        """Subjects in turn, each round beginning with another one."""
        for turn in range(rounds):
            say(f"{what}: round {turn + 1} of {rounds}")
            first = turn % len(lives)
            for live in [*lives[first:], *lives[:first]]:
                if turn < self.plan.slow_rounds or live.name not in self._slow:
                    yield turn, live

    def _chat(self, direct: Live, lives: Sequence[Live]) -> None:
        for _ in range(self.plan.direct_rounds):
            run, _cpu_s = self._load(direct, "chat", self._requests(direct, "chat"))
            self.tally.add("direct_per_s", DIRECT, run.rate_s)
        for _, live in self._turns(lives, self.plan.rounds, "chat"):
            run, cpu_s = self._load(live, "chat", self._requests(live, "chat"))
            self.tally.rate("chat", live.name, cpu_s / run.requests * 1e6, run.rate_s)
            busy = cpu_s * run.rate_s / run.requests
            self._busy.setdefault(live.name, []).append(busy)
        self._note_headroom()

    def _memory(self, lives: Sequence[Live]) -> None:
        for live in lives:
            say(f"memory: {live.name}")
            missing = self.plan.memory_chats - live.chats
            missing = min(missing, int(live.rates_s["chat"] * self.plan.memory_s))
            if missing >= load.CONNECTIONS:
                self._load(live, "chat", missing)
            self._read_memory(live, "loaded")
        counts = ", ".join(f"{live.name} {live.chats:,}" for live in lives)
        self.notes.append(f"Memory is the resident set of all processes; the load: {counts} chats.")

    def _read_memory(self, live: Live, when: str) -> None:
        memory = process.memory(live.pid)
        self.tally.add(f"{when}_mb", live.name, memory.rss_bytes / 1e6)
        self.tally.add(f"{when}_pss_mb", live.name, memory.pss_bytes / 1e6)

    def _streams(self, lives: Sequence[Live], kind: str) -> None:
        for live in lives:
            if live.name in self._slow:
                stage.checked(live, kind)
                live.rates_s[kind] = live.rates_s["chat"] / EVENTS  # a guess on the safe side
            else:
                stage.calibrated(self.stage, live, kind)
        for _, live in self._turns(lives, self.plan.rounds, f"{kind} streams"):
            requests = self._requests(live, kind)
            run, cpu_s = self._load(live, kind, requests)
            cpu_us = cpu_s / (run.requests * EVENTS) * 1e6
            self.tally.rate(kind, live.name, cpu_us, run.rate_s * EVENTS)

    def _latency(self, direct: Live, lives: Sequence[Live]) -> None:
        rates: dict[str, float] = {}
        measured = -1  # the round that `beneath` is from
        for turn, live in self._turns(lives, self.plan.rounds, "latency"):
            if turn != measured:
                beneath = self._timed(direct, self.plan.latency_per_s)
                measured = turn
            rates[live.name] = even_rate(live.rates_s["chat"], self.plan.latency_per_s)
            run = self._timed(live, rates[live.name])
            for row, share in (("added_p50_us", 0.5), ("added_p99_us", 0.99)):
                added = percentile(run.latencies_us, share) - percentile(
                    beneath.latencies_us, share
                )
                self.tally.add(row, live.name, added)
        said = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
        self.notes.append(f"Latency at an even rate, chats per second: {said}.")

    def _timed(self, live: Live, rate_s: float) -> load.Load:
        seconds = max(self.plan.latency_s, self.plan.latency_samples / rate_s)
        run = load.at_rate(live.targets["chat"], rate_s, seconds, self.stage.cores.load)
        _require_answers(live, run)
        live.failed += run.failed
        return run

    def _starts(self, names: Sequence[str]) -> None:
        for name in self._slow if self.plan.slow_starts == 0 else ():
            self.tally.add("start_s", name, self._first_start_s[name])
        for turn in range(self.plan.starts):
            say(f"start: {turn + 1} of {self.plan.starts}")
            for name in names:
                if turn < self.plan.slow_starts or name not in self._slow:
                    with stage.started(self.stage, name) as (_, start_s):
                        self.tally.add("start_s", name, start_s)

    def _requests(self, live: Live, kind: str) -> int:
        """As many as it answers in `load_s`, but enough to keep every connection busy."""
        if kind == "paced":
            return self.plan.paced_streams if live.name not in self._slow else load.CONNECTIONS
        floor = load.CONNECTIONS * (4 if kind == "chat" and self.plan.rounds > 3 else 1)
        return max(floor, int(live.rates_s[kind] * self.plan.load_s))

    def _load(self, live: Live, kind: str, requests: int) -> tuple[load.Load, float]:
        """One run at full speed, and the CPU seconds of the subject's processes for it."""
        before_s = process.cpu_s(live.pid)
        expected_s = requests / live.rates_s[kind]
        run = load.at_full_speed(
            live.targets[kind], requests, self.stage.cores.load, limit_s=30.0 + 8 * expected_s
        )
        time.sleep(_SETTLE_S)
        _require_answers(live, run)
        cpu_s = max(process.cpu_s(live.pid) - before_s, process.TICK_S)
        live.rates_s[kind] = run.rate_s
        live.chats += requests if kind == "chat" else 0
        live.failed += run.failed + cut_short(run, live.answer_bytes[kind])
        return run, cpu_s

    def _note_headroom(self) -> None:
        direct_s = self.tally.values("direct_per_s", DIRECT)
        limit_s = self.tally.values("chat_per_s", LIMIT)
        if direct_s and limit_s:
            times = statistics.median(direct_s) / statistics.median(limit_s)
            self.notes.append(
                f"The upstream alone answers {statistics.median(direct_s):,.0f} chats per second "
                f"on the cores that it shares with the load, {times:.1f} times what passes nginx."
            )
        busy = ", ".join(f"{name} {statistics.median(b):.0%}" for name, b in self._busy.items())
        self.notes.append(
            f"Busy share of the gateway's core during chat: {busy}. Below 100 % the load is the "
            "bound for requests per second; CPU per request hardly depends on it."
        )


def cut_short(run: load.Load, answer_bytes: int) -> int:
    """How many of the good answers must be incomplete, judging by the bytes that came."""
    missing_bytes = run.succeeded * answer_bytes - run.body_bytes
    return math.ceil(missing_bytes / answer_bytes) if missing_bytes > 0 else 0


def say(line: str) -> None:
    """Progress, on the error output: the output is for the table."""
    sys.stderr.write(f"{line}\n")


def even_rate(capacity_s: float, wanted_s: float) -> float:
    """The wanted rate, or a quarter of what the subject can do: a queue is not added latency."""
    return wanted_s if capacity_s > 3 * wanted_s else max(1.0, math.floor(capacity_s / 4))


def _require_answers(live: Live, run: load.Load) -> None:
    if not run.succeeded:
        message = f"{live.name} answered none of {run.requests} requests with success"
        raise BenchStopped(message)
