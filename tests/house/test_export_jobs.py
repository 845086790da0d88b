"""What /metrics says of jobs."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from gatemill import __version__
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.job import PRIORITIES
from gatemill.house.export_jobs import QUEUES_MAX, SAMPLE_S, Depths
from gatemill.jobs.making import new_job
from gatemill.ledger.jobs.rows import Depth
from gatemill.observe import metrics
from house_for_tests import Opened, opened

CHAT = "chat.completion"


class Ledgers:
    """Answers what it is told to, and counts."""

    def __init__(self, *answers: list[Depth] | Exception | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def depths(self) -> list[Depth]:
        self.asked += 1
        answer = self._answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()  # never
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def depth(queue: str = "inference", jobs: int = 1, oldest_s: float = 0.0) -> Depth:
    return Depth(queue, 0, "queued", jobs, oldest_s)


def samples(house: Opened, name: str) -> dict[tuple[str, ...], float]:
    page = metrics.page(house.home.gateway.meter, __version__, "x").decode()
    return {
        tuple(sample.labels[key] for key in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


async def test_what_waits_is_told_by_queue_priority_and_state(tmp_path):
    async with opened(tmp_path) as house:
        services = house.home.jobs.services
        new = [
            new_job(services, CHAT, b"{}", owner="o", key_id="", priority=priority)
            for priority in (0, 2, 2)
        ]
        late = new_job(
            services, CHAT, b"{}", owner="o", key_id="", run_at=services.clock.unix_s() + 60
        )
        await house.home.ledger.jobs.submit([*new, late], 10, 10)
        assert samples(house, "gatemill_jobs") == {}  # nobody has asked
        await house.home.gateway.meter.refresh()
        assert samples(house, "gatemill_jobs") == {
            ("high", "inference", "queued"): 1,
            ("low", "inference", "queued"): 2,
            ("default", "inference", "scheduled"): 1,
        }
        oldest = samples(house, "gatemill_jobs_oldest_seconds")
        assert 0 <= oldest["low", "inference", "queued"] < 60


async def test_attempts_are_told_by_kind_and_outcome(tmp_path):
    async with opened(tmp_path) as house:
        counts = house.home.jobs.counters.kind(CHAT)
        counts.started, counts.succeeded, counts.dead = 3, 2, 1
        counts.wait_s.observe(0.2)
        counts.run_s.observe(7.0)
        house.home.jobs.counters.heartbeat_late_s = 1.5
        house.home.jobs.counters.lost = 4
        house.home.jobs.services.sender.tries["5xx"] += 2
        assert samples(house, "gatemill_jobs_started_total") == {(CHAT,): 3}
        ended = samples(house, "gatemill_jobs_ended_total")
        assert (ended[CHAT, "succeeded"], ended[CHAT, "dead"], ended[CHAT, "retried"]) == (2, 1, 0)
        assert samples(house, "gatemill_jobs_wait_seconds_sum") == {(CHAT,): 0.2}
        assert samples(house, "gatemill_jobs_run_seconds_count") == {(CHAT,): 1}
        assert samples(house, "gatemill_jobs_heartbeat_late_seconds") == {(): 1.5}
        assert samples(house, "gatemill_jobs_lost_total") == {(): 4}
        assert samples(house, "gatemill_webhook_tries_total") == {("5xx",): 2}


async def test_a_scrape_over_http_has_a_fresh_sample(tmp_path):
    async with opened(tmp_path) as house:
        services = house.home.jobs.services
        await house.home.ledger.jobs.submit(
            [new_job(services, CHAT, b"{}", owner="o", key_id="")], 1, 1
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        page = (await reader.read()).decode()
        writer.close()
        assert (
            'gatemill_jobs{priority="default",queue="inference",state="queued"} 1.0' in page
            or 'gatemill_jobs{queue="inference",priority="default",state="queued"} 1.0' in page
        )


async def test_many_scrapes_are_one_question():
    jobs, now = Ledgers([depth(jobs=1)], [depth(jobs=2)]), Time()
    depths = Depths(jobs, now, 5.0)
    for _ in range(5):
        await depths.sample()
    assert jobs.asked == 1
    now.now_s += SAMPLE_S
    await depths.sample()
    assert (jobs.asked, depths.read(lambda each: each.jobs)) == (
        2,
        {("inference", "high", "queued"): 2},
    )


async def test_while_the_database_is_away_the_last_sample_stays():
    jobs, now = Ledgers([depth(jobs=7)], LedgerUnavailable("away"), []), Time()
    depths = Depths(jobs, now, 5.0)
    for failures in (0, 1):
        await depths.sample()
        assert depths.failures == failures
        assert list(depths.read(lambda each: each.jobs).values()) == [7]
        now.now_s += SAMPLE_S
    await depths.sample()
    assert depths.read(lambda each: each.jobs) == {}


async def test_a_scrape_does_not_wait_for_a_slow_database():
    depths = Depths(Ledgers(None), Time(), 0.01)
    await depths.sample()
    assert depths.failures == 1


async def test_queues_beyond_the_bound_are_one_series_with_the_largest_value():
    many = [depth(f"q{number}", jobs=number) for number in range(QUEUES_MAX + 3)]
    depths = Depths(Ledgers(many), Time(), 5.0)
    await depths.sample()
    found = depths.read(lambda each: each.jobs)
    assert len(found) == QUEUES_MAX + 1
    assert found["other", PRIORITIES[0], "queued"] == QUEUES_MAX + 2
