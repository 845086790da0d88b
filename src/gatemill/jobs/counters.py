"""What the workers of this process have done so far. Rule: written by them, read by metrics."""

from __future__ import annotations

from msgspec import Struct, field

from gatemill.observe.metrics import OTHER, Histogram

KINDS_MAX = 200  # counted apart; the rest is "other"
WAIT_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43_200)
RUN_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class KindCounters(Struct):
    """The attempts of one kind."""

    started: int = 0
    succeeded: int = 0
    retried: int = 0  # failed, to be tried again
    dead: int = 0  # dead letters
    postponed: int = 0
    released: int = 0  # given back by a worker that left
    cancelled: int = 0
    waiting: int = 0  # gone on to wait for parts
    refused: int = 0  # ended after their claim had: the ledger took nothing
    wait_s: Histogram = field(default_factory=lambda: Histogram(WAIT_S))  # due until started
    run_s: Histogram = field(default_factory=lambda: Histogram(RUN_S))


class QueueCounters(Struct):
    """What became of the jobs of one queue here."""

    done: int = 0
    dead: int = 0


class Counters(Struct):
    """One for a process; it outlives a reload, and a worker that had to begin anew."""

    kinds: dict[str, KindCounters] = {}
    queues: dict[str, QueueCounters] = {}  # of the kinds and the settings
    slots: int = 0  # of the workers here; set at their start
    slots_used: int = 0
    lost: int = 0  # jobs taken back from dead workers by this process
    promoted: int = 0
    expired: int = 0
    scheduled: int = 0  # submitted by the clock
    deleted: int = 0  # past their time
    fenced: int = 0  # times that the worker had been taken for dead
    claim_failures: int = 0  # questions for work that the database did not answer
    commit_failures: int = 0  # ends that it did not take at once
    commits_dropped: int = 0  # ends that it never took
    housekeeping_failures: int = 0
    quarantine_started: int = 0  # processes for jobs whose workers had died
    heartbeat_late_s: float = 0.0  # how far the last sign of life came after its time

    def kind(self, name: str) -> KindCounters:
        """The counters of a kind; made when first asked for."""
        found = self.kinds.get(name)
        if found is None:
            if len(self.kinds) >= KINDS_MAX:
                name = OTHER
            found = self.kinds.setdefault(name, KindCounters())
        return found

    def queue(self, name: str) -> QueueCounters:
        """The counters of a queue; made when first asked for."""
        return self.queues.setdefault(name, QueueCounters())
