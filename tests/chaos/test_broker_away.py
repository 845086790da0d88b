"""Jobs wait, a thousand at length, and whatever tells workers of them is gone: all end within a minute."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

import heavy
import rabbit_service
from dispatch_sites import Joined, joined
from gatemill.ledger import queries
from site_under_fire import THOROUGH, Site, until

JOBS = 1000 if THOROUGH else 300
END_S = heavy.within(60.0)
_OPEN = queries.literal("open", "SELECT count(*) AS jobs FROM jobs WHERE finished_at IS NULL")
_STARTS = queries.literal(
    "starts", "SELECT state, count(*) AS jobs, sum(starts) AS starts FROM jobs GROUP BY state"
)


def submit(site: Site) -> Path:
    """Jobs, none of which ends before there is the file."""
    go = site.folder / "go"
    one = {"kind": "fire", "args": {"seconds": 0.02, "until": str(go)}}
    # Asked again where the door takes its time, it is still one request.
    once = {"idempotency-key": secrets.token_hex(8)}
    site.ask("POST", "/v1/jobs", {"jobs": [one] * JOBS}, **once)
    return go


def count_open(site: Site) -> int:
    database = site.place.open(writes=False)
    try:
        return int(database.rows(_OPEN)[0]["jobs"])
    finally:
        database.close()


def check(place: Joined, go: Path, say) -> None:
    site = place.site
    assert count_open(site) == JOBS
    go.touch()
    since_s = time.monotonic()
    until(lambda: not count_open(site), END_S, "all jobs have ended")
    say(f"{place.engine}: {JOBS} jobs ended {time.monotonic() - since_s:.1f} s after the loss")
    database = site.place.open(writes=False)
    try:
        (row,) = database.rows(_STARTS)
    finally:
        database.close()
    assert (row["state"], row["jobs"], row["starts"]) == ("succeeded", JOBS, JOBS)


@pytest.mark.parametrize(
    "engine",
    ["redis", *(["rabbitmq", "celery-redis", "celery-rabbitmq"] if THOROUGH else [])],
)
def test_all_messages_and_queues_are_deleted(tmp_path, engine, say):
    with joined(tmp_path, engine) as place:
        go = submit(place.site)
        place.lose_all()
        check(place, go, say)


@pytest.mark.parametrize("engine", [*(["rabbitmq"] if THOROUGH else []), "celery-rabbitmq"])
def test_rabbitmq_is_started_again(tmp_path, engine, say):
    server = rabbit_service.Server()
    try:
        with joined(tmp_path, engine, broker=server.url) as place:
            go = submit(place.site)
            server.stop()
            server.start()
            check(place, go, say)
    finally:
        server.remove()
