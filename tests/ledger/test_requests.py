"""Pages of single attempts: every one once, whatever is asked for, and none looks at everything."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

import databases
from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries, requests, usage
from gatemill.ledger.requests import Place, Sieve, Wanted, page, place
from usage_rows import usage_row

NOW_S = 1_800_000_000.0
SIEVES = {
    "all": Sieve(),
    "key": Sieve(key="k1"),
    "user": Sieve(user="u1"),
    "rare user": Sieve(user="rare"),
    "team": Sieve(team="t1"),
    "model": Sieve(model="m2"),
    "provider": Sieve(provider="p1"),
    "good": Sieve(outcome="ok"),
    "failed": Sieve(outcome="error"),
    "code": Sieve(error="rate_limited"),
    "5xx": Sieve(status_from=500, status_to=599),
    "slow": Sieve(latency_ms=900.0),
    "failed of a key": Sieve(key="k2", outcome="error"),
    "slow of a user": Sieve(user="u1", latency_ms=500.0, outcome="ok"),
    "nothing": Sieve(model="absent"),
}


def _rows():
    draw = random.Random(7)
    rows = []
    for number in range(240):
        failed = draw.random() < 0.1
        # Several arrive at the same moment, and whole hours are empty.
        at = NOW_S - 7200.0 * (number // 60) - draw.randrange(300) / 2
        row = usage_row(number, at=at, key_id=draw.choice(["k1", "k2", "k3"]))
        rows.append(
            replace(
                row,
                user_id="rare" if number % 79 == 0 else draw.choice(["u1", "u2"]),
                team_id=draw.choice(["t1", ""]),
                model=draw.choice(["m1", "m2"]),
                provider=draw.choice(["p1", "p2"]),
                error=draw.choice(["rate_limited", "internal_error"]) if failed else "",
                status=draw.choice([429, 500, 503]) if failed else 200,
                latency_ms=float(draw.randrange(1000)),
            )
        )
    return rows


def _passes(row, sieve):
    named = all(
        getattr(sieve, name) in ("", value)
        for name, value in (
            ("key", row.key_id),
            ("user", row.user_id),
            ("team", row.team_id),
            ("model", row.model),
            ("provider", row.provider),
            ("error", row.error),
            ("outcome", "error" if row.error else "ok"),
        )
    )
    in_range = sieve.status_from <= row.status <= sieve.status_to
    return named and in_range and row.latency_ms >= sieve.latency_ms


def _walk(database, sieve, limit):
    """All pages down to the oldest, and back up; the attempts of each way, the newest first."""
    down, up, wanted = [], [], Wanted(sieve, limit)
    for _ in range(1000):
        found = page(database, wanted)
        assert len(found.rows) <= limit
        down += found.rows
        if found.older is None:
            break
        wanted = Wanted(sieve, limit, before=found.older)
    wanted = Wanted(sieve, limit, after=Place(0.0))
    for _ in range(1000):
        found = page(database, wanted)
        up = found.rows + up
        if found.newer is None:
            break
        wanted = Wanted(sieve, limit, after=found.newer)
    return down, up


@pytest.mark.parametrize(("rows_max", "minutes_max"), [(30_000, 60), (30, 3)])
def test_every_attempt_that_passes_is_on_one_page(database, monkeypatch, rows_max, minutes_max):
    monkeypatch.setattr(requests, "ROWS_MAX", rows_max)
    monkeypatch.setattr(requests, "FAR_ROWS_MAX", rows_max)
    monkeypatch.setattr(requests, "MINUTES_MAX", minutes_max)
    rows = _rows()
    usage.insert(database, rows, NOW_S)
    ordered = sorted(rows, key=lambda row: (row.at, row.attempt_id), reverse=True)
    for name, sieve in SIEVES.items():
        wanted = [row.attempt_id for row in ordered if _passes(row, sieve)]
        down, up = _walk(database, sieve, 20)
        assert sorted(row.attempt_id for row in down) == sorted(wanted), name
        assert [row.at for row in down] == sorted((row.at for row in down), reverse=True), name
        assert [row.attempt_id for row in up] == [row.attempt_id for row in down], name


def test_from_a_page_one_comes_back_to_the_page_before(database):
    usage.insert(database, _rows(), NOW_S)
    first = page(database, Wanted(Sieve(), 25))
    second = page(database, Wanted(Sieve(), 25, before=first.older))
    assert (first.newer, first.looked_to_s) == (None, None)
    back = page(database, Wanted(Sieve(), 25, after=second.newer))
    assert back.rows == first.rows
    assert page(database, Wanted(Sieve(), 25, before=back.older)).rows == second.rows


def test_a_span_bounds_the_pages(database):
    rows = _rows()
    usage.insert(database, rows, NOW_S)
    since_s, until_s = NOW_S - 60.0, NOW_S - 30.0
    found = page(database, Wanted(Sieve(), 1000, since_s=since_s, until_s=until_s))
    assert len(found.rows) == sum(since_s <= row.at < until_s for row in rows) > 0
    assert page(database, Wanted(Sieve(), 10, since_s=NOW_S, until_s=NOW_S)).rows == []


def test_a_search_that_gives_up_says_how_far_it_came(database, monkeypatch):
    monkeypatch.setattr(requests, "ROWS_MAX", 40)
    usage.insert(database, _rows(), NOW_S)
    found = page(database, Wanted(Sieve(latency_ms=5000.0), 25))
    assert (found.rows, found.newer) == ([], None)
    assert found.looked_to_s == found.older.at_s < NOW_S


@pytest.mark.parametrize("text", ["", "x", "nan_a", "-1_a", "1e12_a", f"1_{'a' * 300}"])
def test_a_place_that_no_page_gave_is_refused(text):
    with pytest.raises(InvalidValue, match="before"):
        place(text, "before")
    assert place(Place(1.5, "a_b-1").text, "before") == Place(1.5, "a_b-1")


def test_no_page_looks_at_every_row(tmp_path):
    plans: dict[str, list[str]] = {}
    with databases.empty("sqlite", tmp_path) as place_, databases.migrated(place_) as database:
        for name, query in queries.load("requests").items():
            said = queries.literal("plan", f"EXPLAIN QUERY PLAN {query.text}")
            values = dict.fromkeys(query.params, "")
            plans[name] = [row["detail"] for row in database.rows(said, values)]
    for name, plan in plans.items():
        assert any(
            ("SEARCH usage" in line and "at>" in line) or "start_s>" in line for line in plan
        ), (
            name,
            plan,
        )
        assert not any(line.startswith("SCAN usage") for line in plan), (name, plan)
        if "of_key" in name:
            assert any("usage_by_key" in line for line in plan), (name, plan)
        if "failed" in name:
            assert any("usage_failed" in line for line in plan), (name, plan)
