"""A whole house is looked at: what is wrong is open in its ledger, told to a real listener, and over again."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from gatemill.core.errors import LedgerUnavailable, UpstreamError
from gatemill.house.export_alerts import SAMPLE_S, Sample
from gatemill.house.watchman import LOOKS_MAX, Watchman, usable_targets
from gatemill.ledger.alerts import Alert
from gateway_parts import numbers
from house_for_tests import opened
from settings_files import refused
from sink import Sink

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = """
[models.m]
targets = ["echo/echo"]
[models."free-*"]
targets = ["echo/*"]
[breaker]
failures = 1
[alerts]
every_s = 0.05
quiet_s = 0.1
for_s = 0
window_s = 1
disk_share = 1.0
off = [{off}]
webhook = "{webhook}"
secret = "{secret}"
"""


def config(webhook: str = "http://127.0.0.1:9/hook", more: str = "", off: str = "") -> str:
    # This machine may stand still, which is not what is watched here.
    names = ", ".join(f'"{name}"' for name in ("EventLoopLag", off) if name)
    return CONFIG.format(webhook=webhook, secret=SECRET, off=names) + more


async def look(gate, *, config_refused: bool = False) -> None:
    await gate.home.lasting.watchman.look(gate.home, config_refused=config_refused)


async def state(gate) -> dict[str, str]:
    """Incidents by rule, the newest of each."""
    found = await gate.home.ledger.incidents.listed(100)
    return {one.name: "closed" if one.closed_s else "open" for one in reversed(found)}


async def closes(gate, **said: bool) -> None:
    """Looks, until nothing is open any more."""
    async with asyncio.timeout(60):
        while "open" in (await state(gate)).values():
            await look(gate, **said)


async def test_an_incident_is_told_when_it_opens_and_when_it_closes(tmp_path):
    async with Sink() as sink, opened(tmp_path, config(sink.url)) as gate:
        await look(gate)
        assert await state(gate) == {}
        await look(gate, config_refused=True)
        await look(gate, config_refused=True)
        assert await state(gate) == {"ConfigReloadFailed": "open"}
        assert numbers(gate.home.gateway.meter)['alerts_open{name="ConfigReloadFailed"}'] == 0
        await gate.home.gateway.meter.refresh()
        assert numbers(gate.home.gateway.meter)['alerts_open{name="ConfigReloadFailed"}'] == 1
        assert gate.home.notifier is not None
        await gate.home.notifier.send_due()
        await closes(gate)
        await gate.home.notifier.send_due()
        told = [json.loads(seen.body) for seen in sink.seen]
        assert [one["type"] for one in told] == ["alert.opened", "alert.closed"]
        assert {one["data"]["name"] for one in told} == {"ConfigReloadFailed"}
        assert gate.home.lasting.watchman.failures == 0


async def test_a_target_left_alone_leaves_its_model_without_one(tmp_path):
    async with opened(tmp_path, config()) as gate:
        for name in ("m", "free-a"):
            route = gate.home.gateway.routes.find(name)
            lane = route.targets[0].lane
            now_s = gate.home.gateway.now()
            slot = lane.enter(now_s, now_s + 10)
            slot.end(UpstreamError("no"), now_s)
        assert usable_targets(gate.home)["m"] == 0
        seen = numbers(gate.home.gateway.meter)
        assert seen['model_targets_usable{model="m"}'] == 0
        assert seen['model_targets_usable{model="builtin/lexical"}'] == 1
        await look(gate)
        found = await gate.home.ledger.incidents.listed(10)
        subjects = {(one.name, one.subject) for one in found}
        assert ("NoHealthyProvider", "m") in subjects
        assert ("BreakerOpen", "echo/echo") in subjects
        assert ("BreakerOpen", "other") in subjects  # a name that a caller chose is not told


async def test_requests_of_the_window_count(tmp_path):
    async with opened(tmp_path, config()) as gate:
        series = gate.home.gateway.meter.series("chat", "m", "echo", 502)
        series.requests += 500  # before the first look
        await look(gate)
        series.requests += 19
        await look(gate)
        assert await state(gate) == {}
        for _ in range(50):
            series.duration.observe(100.0)
        series.requests += 31
        await look(gate)
        assert await state(gate) == {"ErrorRatio": "open", "LatencyP95": "open"}


async def test_rules_that_are_off_and_a_watch_that_is_off_see_nothing(tmp_path):
    async with opened(tmp_path, config(off="ConfigReloadFailed")) as gate:
        await look(gate, config_refused=True)
        assert await state(gate) == {}
    (tmp_path / "b").mkdir()
    async with opened(tmp_path / "b", config(more="watch = false\n")) as gate:
        await look(gate, config_refused=True)
        assert await state(gate) == {}


class Ledgers:
    """A ledger that is away for as many questions as it is told to be; behind it a real one."""

    def __init__(self, ledger, away: int) -> None:
        self._ledger = ledger
        self.away = away
        self.incidents = self
        self.counters = ledger.counters
        self.jobs = ledger.jobs

    def healthy(self) -> bool:
        return not self.away

    async def vitals(self):
        self._fail()
        return await self._ledger.incidents.vitals()

    async def seen(self, found, quiet_s, *, tells):
        self._fail()
        return await self._ledger.incidents.seen(found, quiet_s, tells=tells)

    def _fail(self) -> None:
        if self.away:
            self.away -= 1
            raise LedgerUnavailable("away")


async def test_that_the_ledger_is_away_is_told_without_it_once(tmp_path):
    async with Sink() as sink, opened(tmp_path, config(sink.url)) as gate:
        watchman = gate.home.lasting.watchman
        home = replace(gate.home, ledger=Ledgers(gate.home.ledger, away=4))
        await watchman.look(home, config_refused=True)
        await watchman.look(home, config_refused=True)
        (seen,) = sink.seen
        said = json.loads(seen.body)
        assert (said["type"], said["data"]["name"]) == ("alert.opened", "LedgerBehind")
        assert watchman.failures == 4
        await watchman.look(home, config_refused=True)
        assert await state(gate) == {"ConfigReloadFailed": "open"}


async def test_as_many_looks_are_remembered_as_may_be(tmp_path):
    async with opened(tmp_path, config()) as gate:
        watchman = Watchman(gate.home.gateway.clock)
        first = await watchman._numbers(gate.home, config_refused=False)
        for n in range(5 * LOOKS_MAX):
            now = replace(first, requests=n)
            before = watchman._before(now, n * 0.01, 1.0)
            assert n - before.requests >= min(n, 100)
            assert n - before.requests <= 102
        assert len(watchman._past) <= LOOKS_MAX + 1


class Answers:
    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    async def vitals(self):
        answer = self._answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()  # never
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_database_that_does_not_answer_is_counted():
    now_s = 0.0
    sample = Sample(Answers(LedgerUnavailable("away"), None), lambda: now_s, 0.01)
    assert set(sample.open().values()) == {0}
    assert sample.budgets() == {}
    await sample.take()
    await sample.take()  # not yet due
    assert sample.failures == 1
    now_s += SAMPLE_S
    await sample.take()
    assert sample.failures == 2


async def test_budgets_letters_and_disk_are_metrics(tmp_path):
    async with opened(tmp_path, config()) as gate:
        alert = Alert("team", "core", "total", 0.0, 1.0, 5, 5, 0.0)
        await gate.home.ledger.alerts.add_alert(alert)
        await gate.home.gateway.meter.refresh()
        seen = numbers(gate.home.gateway.meter)
        assert seen['budgets_reached{level="spent",scope="team"}'] == 1
        assert seen["dead_letters{}"] == seen["jobs_workers{}"] == 0
        assert 0 < seen["disk_free_bytes{}"] < seen["disk_bytes{}"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('off = ["Nothing"]', "there are ErrorRatio"),
        ("every_s = 200", "make quiet_s the larger one"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path, said, words):
    (problem,) = refused(tmp_path, f"[alerts]\n{said}\n")
    assert words in problem
    assert "alerts" in problem
