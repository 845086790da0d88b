"""The statements that run all the time look at what they need, however many jobs there are."""

from __future__ import annotations

import pytest

import databases
from gatemill.core.job import NewJob
from gatemill.ledger import queries
from gatemill.ledger.jobs.inserting import insert
from gatemill.ledger.place import Place

CLAIM = queries.load("jobs_claim")
END = queries.load("jobs_end")
UPKEEP = queries.load("jobs_upkeep")
JOBS = queries.load("jobs")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    place = Place(path=tmp_path_factory.mktemp("plans") / "gatemill.db")
    with databases.migrated(place) as opened:
        yield opened


def plan(database, query):
    asked = queries.literal("plan", f"EXPLAIN QUERY PLAN {query.question}")
    values = [1] * len(query.params)
    return [row["detail"] for row in database._connection.execute(asked.text, values).fetchall()]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (CLAIM["claim_best"], "jobs_ready"),
        (CLAIM["claim_oldest"], "jobs_oldest"),
        (CLAIM["claim_lost"], "jobs_oldest"),
        (CLAIM["list_candidates"], "jobs_ready"),
        (CLAIM["list_oldest_candidates"], "jobs_oldest"),
        (CLAIM["read_claimed"], "jobs_running"),
        (CLAIM["count_running"], "jobs_busy"),
        (CLAIM["count_running_by_owner"], "jobs_busy"),
        (UPKEEP["promote"], "jobs_due"),
        (UPKEEP["expire"], "jobs_expiring"),
        (UPKEEP["rerung"], "jobs_unrung"),
        (UPKEEP["list_cancels"], "jobs_running"),
        (UPKEEP["list_kept"], "jobs_kept"),
        (JOBS["count_owned"], "jobs_open"),
        (JOBS["count_open"], "jobs_open"),
        (JOBS["depths"], "jobs_open"),
        (JOBS["read_unique"], "jobs_unique"),
        (JOBS["list_jobs_of_owner"], "jobs_by_owner"),
        (JOBS["list_jobs_in_state"], "jobs_by_state"),
        (JOBS["list_dead_of_owner"], "jobs_dead"),
        (JOBS["list_jobs_of_kind"], "jobs_by_kind"),
        (JOBS["list_jobs_of_owner_and_kind"], "jobs_by_owner_and_kind"),
        (JOBS["list_jobs_of_parent"], "jobs_parts"),
        (JOBS["list_parts"], "jobs_parts"),
        (JOBS["queue_waits"], "jobs_oldest"),
        (JOBS["job_cost"], "usage_by_job"),
        (END["cancel_waiting_parts"], "jobs_parts"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_it_goes_by_its_index(database, query, index):
    lines = plan(database, query)
    assert any(f"INDEX {index} " in f"{line} " for line in lines), lines


@pytest.mark.parametrize(
    "name",
    [
        *("list_jobs", "list_jobs_of_owner", "list_jobs_of_kind", "list_jobs_of_owner_and_kind"),
        *("list_jobs_in_state", "list_dead_of_owner"),
    ],
)
def test_a_list_is_read_in_its_order_and_no_further_than_its_page(database, name):
    lines = plan(database, JOBS[name])
    assert len(lines) == 1, lines
    assert lines[0].startswith("SEARCH jobs"), lines
    assert "id<?" in lines[0], lines


@pytest.mark.parametrize(
    "query",
    [CLAIM["claim_best"], CLAIM["claim_oldest"], CLAIM["list_candidates"], UPKEEP["promote"]],
    ids=lambda query: query.name,
)
def test_nothing_that_waits_is_sorted_or_scanned(database, query):
    lines = plan(database, query)
    assert not [line for line in lines if "B-TREE" in line or line.startswith("SCAN jobs")]


def test_a_job_that_is_there_is_not_inserted_again(database):
    new = NewJob(id="job_1", kind="k", queue="q", args=b"1", owner="o", key_id="", unique_key="u")
    other = NewJob(id="job_2", kind="k", queue="q", args=b"2", owner="o", key_id="", unique_key="u")
    with database.transaction():
        assert insert(database, new, 7.0)
        assert not insert(database, new, 8.0)
        assert not insert(database, other, 8.0)
    found = database.rows(queries.literal("all", "SELECT job_id, args FROM job_data"))
    assert found == [{"job_id": "job_1", "args": b"1"}]
