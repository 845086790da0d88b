"""J1, J2: kill -9 of the door and of workers at random instants, while jobs are submitted.

Every id that was answered 202 ends in one final state, none is lost, none has two results. With more
kills: GATEMILL_TEST_KILLS=300, see docs/guides/prove-it.md.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest

import postgres_service
import rabbit_service
import redis_service
from gatemill.core.job import FINAL
from gatemill.ledger import queries
from site_under_fire import END_S, THOROUGH, WORKERS, Site, opened, submitting, until

KILLS = int(os.environ.get("GATEMILL_TEST_KILLS", "3"))
CLIENTS = 4
CONFIG = """
[jobs]
kinds = ["kinds_under_fire"]
embedded = false
lease_s = 3.0
beat_s = 0.5
poll_s = 0.2
waiting_max_per_owner = 1000000
"""
_STATES = queries.literal("states", "SELECT id, state FROM jobs")
_WON = queries.literal(
    "won",
    "SELECT job_id, count(*) AS times FROM job_attempts WHERE outcome = 'succeeded' GROUP BY job_id",
)
_RESULTS = queries.literal("results", "SELECT job_id FROM job_data WHERE result IS NOT NULL")


def _states(site: Site) -> dict[str, str]:
    database = site.place.open(writes=False)
    try:
        return {row["id"]: row["state"] for row in database.rows(_STATES)}
    finally:
        database.close()


def _check(site: Site, accepted: list[str], say) -> None:
    until(lambda: set(_states(site).values()) <= FINAL, END_S, "all jobs have ended")
    states = _states(site)
    database = site.place.open(writes=False)
    try:
        won = {row["job_id"]: row["times"] for row in database.rows(_WON)}
        results = {row["job_id"] for row in database.rows(_RESULTS)}
    finally:
        database.close()
    assert len(accepted) == len(set(accepted))
    assert set(accepted) <= set(states)
    succeeded = {job for job, state in states.items() if state == "succeeded"}
    assert set(won) == succeeded == results
    assert set(won.values()) == {1}
    say(f"{len(accepted)} jobs, {KILLS} kills: {dict(Counter(states.values()))}")


def _told_by(engine: str, stack: ExitStack) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """What the configuration says of an engine, and the commands of two workers."""
    if engine == "sql":
        return "", WORKERS
    dispatch, _, broker = engine.partition(" over ")
    service = (
        rabbit_service.vhost() if (broker or dispatch) == "rabbitmq" else redis_service.store()
    )
    said = f'dispatch = "{dispatch}"\nbroker = "{stack.enter_context(service)}"\n'
    if dispatch != "celery":
        return said, WORKERS
    celery = (sys.executable, "-m", "celery", "-A", "gatemill.dispatch.celery_app", "worker", "-n")
    return said, ((*celery, "one@%h"), (*celery, "two@%h"))


@pytest.mark.parametrize(
    ("engine", "database"),
    [
        ("sql", "sqlite"),
        ("redis", "postgres"),
        *(
            [
                ("sql", "postgres"),
                ("rabbitmq", "postgres"),
                ("celery over redis", "postgres"),
                ("celery over rabbitmq", "sqlite"),
            ]
            if THOROUGH
            else []  # a kill with each engine is in tests/dispatch_promises.py
        ),
    ],
)
def test_every_accepted_job_ends_once_whatever_is_killed(tmp_path, engine, database, say):
    rng = random.Random(KILLS)
    with ExitStack() as stack:
        said, workers = _told_by(engine, stack)
        url = "" if database == "sqlite" else stack.enter_context(postgres_service.database())
        made = Site(tmp_path, CONFIG + said, database=url, workers=workers)
        site = stack.enter_context(opened(made))
        order = rng.sample(range(site.size), site.size)
        with submitting(site, CLIENTS, seed=KILLS) as accepted:
            for number in range(KILLS):
                before = len(accepted)
                until(lambda before=before: len(accepted) > before, END_S, "jobs are submitted")
                time.sleep(rng.uniform(0.1, 2.0))  # any instant under load will do
                # Each process at least once, then by lot.
                site.kill(order[number] if number < site.size else rng.randrange(site.size))
        site.wait_for_door()
        assert len(accepted) > KILLS
        _check(site, accepted, say)
