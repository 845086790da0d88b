"""Jobs under any order of claims, ends, deaths and housekeeping, against a model of what must be.

No job is lost, each has at most one result, what is final stays, and only a claim that holds counts.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Struct

import databases
from gatemill.core.job import (
    FINAL,
    Again,
    Failed,
    Postponed,
    Problem,
    Released,
    Stopped,
    Succeeded,
)
from gatemill.ledger import queries
from gatemill.ledger.jobs.rows import Filter
from jobs_ledger import LEASE_S, NOW_S, Hand, Site, accept

OOPS = Problem("upstream_timeout", "The provider did not answer.")
BEAT = queries.load("jobs_upkeep")["beat"]


class Model(Struct):
    """What a job must be."""

    state: str = "queued"
    run_at: float = NOW_S
    expires_at: float | None = None
    attempt: int = 0
    lost: int = 0
    cancel: bool = False
    claim: str = ""
    worker: str = ""
    starts: int = 0
    results: int = 0  # visible ones since the last replay


class Life(RuleBasedStateMachine):
    kind = "sqlite"

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.empty = databases.empty(self.kind, Path(self.folder.name))
        place = self.empty.__enter__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.site = Site(place, Path(self.folder.name), self.stack)
        self.jobs = self.runner.run(self.site.jobs())
        self.models: dict[str, Model] = {}
        self.hands: dict[str, Hand] = {}  # those that live
        self.silent: dict[str, float] = {}  # since when
        self.claims = []  # all that were ever given

    def teardown(self):
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.empty.__exit__(None, None, None)
        self.folder.cleanup()

    @property
    def now_s(self):
        return self.site.clock.unix_s()

    def beat(self):
        for worker_id in self.hands:
            beat = {"id": worker_id, "running": 0, "now_s": self.now_s}
            assert self.runner.run(self.jobs._shared(lambda db, beat=beat: db.run(BEAT, beat)))

    # --- What can happen ---------------------------------------------------------------------

    @rule(priority=st.integers(0, 2), ttl=st.sampled_from([None, 20.0]), later=st.booleans())
    def submit(self, priority, ttl, later):
        new = self.site.new(
            priority=priority,
            run_at=self.now_s + 5 if later else None,
            expires_at=None if ttl is None else self.now_s + ttl,
        )
        self.runner.run(accept(self.jobs, new))
        state = "scheduled" if later else "queued"
        self.models[new.id] = Model(state, new.run_at or self.now_s, new.expires_at)

    @rule()
    def hire(self):
        worker_id = f"w{len(self.hands) + len(self.silent)}"
        hand = self.runner.run(Hand.enrolled(self.site, self.jobs, worker_id))
        self.hands[worker_id] = hand

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), free=st.integers(1, 4), oldest=st.booleans())
    def claim_some(self, data, free, oldest):
        self.claim(data, free, oldest)

    def claim(self, data, free, oldest):
        hand = self.hands[data.draw(st.sampled_from(sorted(self.hands)))]
        waits = sorted(name for name, model in self.models.items() if self.may_start(model, False))
        found = self.runner.run(hand.take(free, oldest=oldest))
        assert len(found) == min(free, len(waits))
        self.start(found, waits, hand)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def claim_quarantined(self, data):
        hand = self.hands[data.draw(st.sampled_from(sorted(self.hands)))]
        waits = [name for name, model in self.models.items() if self.may_start(model, True)]
        found = self.runner.run(self.jobs.claim_quarantined(hand.id, self.site.token()))
        assert bool(found) == bool(waits)
        self.start(found, waits, hand)

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["done", "fail", "again", "postpone", "release", "stop"]),
    )
    def finish(self, data, outcome):
        claimed = data.draw(st.sampled_from(self.claims))
        model = self.models[claimed.job.id]
        held = model.state == "running" and model.claim == claimed.claim
        said = {
            "done": Succeeded(claimed.claim.encode()),
            "fail": Failed(OOPS),
            "again": Again(OOPS, self.now_s + 3),
            "postpone": Postponed(OOPS, self.now_s + 3),
            "release": Released(),
            "stop": Stopped(),
        }[outcome]
        assert self.runner.run(self.jobs.finish(claimed, said)) == held
        if held:
            self.end(model, outcome)
            if outcome == "done":
                full = self.runner.run(self.jobs.get(claimed.job.id, None))
                assert full.result == claimed.claim.encode()

    def late_ones(self):
        """Claims on jobs that run by another claim now."""
        return [
            each
            for each in self.claims
            if self.models[each.job.id].state == "running"
            and self.models[each.job.id].claim != each.claim
        ]

    @precondition(lambda self: self.late_ones())
    @rule()
    def finish_late(self):
        for claimed in self.late_ones():
            assert not self.runner.run(self.jobs.finish(claimed, Succeeded(b"0")))
            assert not self.runner.run(self.jobs.finish(claimed, Failed(OOPS)))

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def give_back_and_take_again(self, data):
        hand = self.hands[data.draw(st.sampled_from(sorted(self.hands)))]
        for model in self.models.values():
            if model.state == "running" and model.worker == hand.id:
                held = [each for each in self.claims if each.claim == model.claim]
                for claimed in held:
                    if self.models[claimed.job.id] is model:
                        assert self.runner.run(self.jobs.finish(claimed, Released()))
                        self.end(model, "release")
        self.claim(data, 4, oldest=False)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def die(self, data):
        worker_id = data.draw(st.sampled_from(sorted(self.hands)))
        del self.hands[worker_id]
        self.silent[worker_id] = self.now_s

    @precondition(lambda self: self.models)
    @rule(quarantined=st.booleans(), deaths=st.integers(1, 3))
    def kill_workers(self, quarantined, deaths):
        for _ in range(deaths):
            self.hire()
            worker_id = list(self.hands)[-1]
            hand = self.hands.pop(worker_id)
            waits = [
                name for name, each in self.models.items() if self.may_start(each, quarantined)
            ]
            token = self.site.token()
            taking = self.jobs.claim_quarantined(worker_id, token) if quarantined else hand.take(3)
            self.start(self.runner.run(taking), waits, hand)
            self.silent[worker_id] = self.now_s
            self.time_passes(LEASE_S + 1)
            self.keep_house()

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def cancel(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.models)))
        self.runner.run(self.jobs.cancel(job_id, None))
        model = self.models[job_id]
        if model.state == "running":
            model.cancel = True
        elif model.state not in FINAL:
            model.state = "cancelled"

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def replay(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.models)))
        model = self.models[job_id]
        assert self.runner.run(self.jobs.replay(job_id, None)) == (model.state == "dead")
        if model.state == "dead":
            self.models[job_id] = Model(run_at=self.now_s, starts=model.starts)

    @rule(seconds=st.sampled_from([1.0, 4.0, 12.0, LEASE_S + 1]))
    def time_passes(self, seconds):
        self.site.clock.advance(seconds)
        self.beat()

    @rule()
    def keep_house(self):
        self.runner.run(self.jobs.reap())
        for model in self.models.values():
            since_s = self.silent.get(model.worker)
            if model.state == "running" and since_s is not None and self.now_s > since_s + LEASE_S:
                model.lost += 1
                model.attempt -= 1
                model.state = "dead" if model.lost >= 5 else "queued"
                model.state = "cancelled" if model.cancel else model.state
        self.runner.run(self.jobs.expire())
        for model in self.models.values():
            if model.state in {"queued", "scheduled"} and self.expired(model):
                model.state = "expired"
        self.runner.run(self.jobs.promote())
        for model in self.models.values():
            if model.state == "scheduled" and model.run_at <= self.now_s:
                model.state = "queued"

    @rule()
    def restart(self):
        self.runner.run(self.stack.aclose())
        self.stack = self.site._stack = AsyncExitStack()
        self.jobs = self.runner.run(self.site.jobs())
        for hand in self.hands.values():
            hand.jobs = self.jobs

    # --- What must be ------------------------------------------------------------------------

    @invariant()
    def every_job_is_what_it_must_be(self):
        found = {job.id: job for job in self.runner.run(self.jobs.listed(Filter(), 1_000))}
        assert found.keys() == self.models.keys()
        for job_id, model in self.models.items():
            job = found[job_id]
            assert (job.state, job.attempt, job.lost) == (model.state, model.attempt, model.lost)
            assert model.results <= 1
            attempts = self.runner.run(self.jobs.attempts(job_id))
            assert [each.number for each in attempts] == list(range(1, model.starts + 1))

    # --- The model ---------------------------------------------------------------------------

    def expired(self, model):
        late = model.expires_at is not None and model.expires_at <= self.now_s
        return late and model.attempt == 0

    def may_start(self, model, quarantined):
        if model.state != "queued" or self.expired(model):
            return False
        return (model.lost >= 2) == quarantined

    def start(self, found, waits, hand):
        for claimed in found:
            assert claimed.job.id in waits
            model = self.models[claimed.job.id]
            model.state, model.claim, model.worker = "running", claimed.claim, hand.id
            model.attempt += 1
            model.starts += 1
            self.claims.append(claimed)

    def end(self, model, outcome):
        if outcome == "done":
            model.state = "succeeded"
            model.results += 1
            return
        if outcome in {"postpone", "release"} and not model.cancel:
            model.attempt -= 1
        if outcome in {"again", "postpone"}:
            model.run_at = self.now_s + 3
        state = {"fail": "dead", "release": "queued", "stop": "cancelled"}.get(outcome)
        model.state = "cancelled" if model.cancel else state or "scheduled"


class LifeOnPostgres(Life):
    kind = "postgres"


def explore(machine, examples):
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        phases=(Phase.generate,),  # a failure is told as it was found: shrinking takes minutes
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()


@pytest.mark.parametrize(
    ("machine", "examples"),
    [(Life, settings().max_examples * 2 // 3), (LifeOnPostgres, settings().max_examples // 5)],
)
def test_whatever_happens_every_job_is_what_it_must_be(machine, examples):
    explore(machine, examples)
