"""A span at a glance: what it says is what its rows say, and looking costs a bounded number of rows."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter

import pytest
from msgspec.structs import replace

import databases
from gatemill.edge.pages import traffic
from gatemill.ledger import queries, requests, summaries, trends, usage
from gatemill.ledger.place import Place
from gatemill.ledger.summaries import Share, Spread, Summary
from gatemill.ledger.trends import Window
from gatemill.ledger.usage import ALL, Filters
from usage_rows import usage_row

DAY_S = 86_400
TODAY_S = 1_763_683_200  # a midnight
NOW_S = TODAY_S + 43_200.0


def insert(database, rows):
    assert usage.insert(database, rows, NOW_S) == []


def test_a_summary_counts_requests_tokens_and_money(database):
    insert(
        database,
        [
            usage_row(1, error="upstream_timeout", status=504, cost_microusd=0),
            usage_row(1, attempt=2, attempt_id="req_1-2", provider="echo"),
            usage_row(2, error="upstream_unreachable", model="slow"),
            usage_row(3, error="upstream_timeout", model="slow", cost_microusd=None),
            usage_row(4, cache="hit", cost_microusd=0, operation="messages"),
        ],
    )
    found = summaries.of(database, 0.0, 2e9, ALL)
    assert (found.requests, found.attempts, found.success_rate) == (4, 5, 0.5)
    assert found.errors == [Share("upstream_timeout", 2), Share("upstream_unreachable", 1)]
    assert found.models == [Share("fast", 2), Share("slow", 2)]
    assert found.operations == [Share("chat", 3), Share("messages", 1)]
    assert (found.cost_microusd, found.unpriced, found.cache_hits) == (500, 1, 1)
    assert (found.input_tokens, found.cache_read_tokens, found.output_tokens) == (500, 100, 200)
    assert found.latency == Spread(812.5, 812.5, 812.5, 812.5)
    assert found.first_token == Spread()


def test_a_summary_of_nothing_says_nothing(database):
    found = summaries.of(database, 0.0, 2e9, ALL)
    assert (found.requests, found.success_rate, found.errors) == (0, None, [])
    assert found.latency == Spread()


@pytest.mark.parametrize("count", [1, 2, 19, 100, 137])
def test_percentiles_are_those_of_the_nearest_rank(database, count):
    chance = random.Random(count)
    times = [round(chance.expovariate(0.01), 3) for _ in range(count)]
    insert(
        database,
        [
            usage_row(n, latency_ms=ms, first_token_ms=ms / 2, at=NOW_S - n)
            for n, ms in enumerate(times)
        ]
        + [usage_row("failed", error="upstream_timeout", latency_ms=1e9, at=NOW_S - 1)],
    )
    found = summaries.of(database, NOW_S - 3_600, NOW_S + 1, ALL)
    ordered = sorted(times)
    ranks = [ordered[math.ceil(count * share / 100) - 1] for share in (50, 95, 99)]
    latency = found.latency
    assert [latency.p50_ms, latency.p95_ms, latency.p99_ms] == ranks
    assert latency.mean_ms == pytest.approx(statistics.fmean(times))
    assert found.first_token.p95_ms == ranks[1] / 2


FILTERS = {
    "all": ALL,
    "key": Filters(key="k1"),
    "user": Filters(user="u1"),
    "team": Filters(team="t1"),
    "model": Filters(model="m1"),
    "provider": Filters(provider="p1"),
    "model of a provider": Filters(model="m2", provider="p2"),
    "model of a key": Filters(key="k2", model="m1"),
    "nothing": Filters(user="absent"),
}
SPANS = {  # before now, in seconds
    "some minutes": (1_000.5, -1.0),
    "an hour in between": (9_000.25, 5_400.75),
    "a day": (DAY_S + 0.0, -1.0),
    "days": (3.3 * DAY_S, 7_777.0),
    "for ever": (NOW_S, -1e9),
}


def drawn(count):
    """Attempts of four days, some of one request."""
    draw = random.Random(count)
    found = []
    for number in range(count):
        at = NOW_S - draw.choice([draw.random() * 12_000, draw.random() * 4 * DAY_S])
        failed = draw.random() < 0.2
        row = usage_row(
            number,
            at=at,
            key_id=draw.choice(["k1", "k2"]),
            user_id=draw.choice(["u1", ""]),
            team_id=draw.choice(["t1", "t2"]),
            model=draw.choice(["m1", "m2"]),
            provider=draw.choice(["p1", "p2"]),
            operation=draw.choice(["chat", "embeddings"]),
            cache="" if failed else draw.choice(["", "", "hit"]),
            error=draw.choice(["rate_limited", "internal_error"]) if failed else "",
            estimated=draw.random() < 0.1,
            cost_microusd=draw.choice([None, number, number * 7]),
            output_tokens=draw.randrange(1_000),
            latency_ms=draw.randrange(1, 9_000_000) / 1_000,
            first_token_ms=draw.choice([None, draw.randrange(1, 500_000) / 1_000]),
        )
        found.append(row)
        if failed:
            again = {"attempt": 2, "attempt_id": f"req_{number}-2", "provider": "p2"}
            found.append(replace(row, error="", latency_ms=row.latency_ms + 1.0, **again))
    return found


def chosen(rows, filters, since_s, until_s):
    """Those that a summary is about, the newest first."""
    since_s, until_s = since_s // 60 * 60, -(-until_s // 60) * 60
    wanted = (filters.key, filters.user, filters.team, filters.model, filters.provider)
    found = [
        row
        for row in rows
        if since_s <= row.at < until_s
        and all(
            name in ("", label)
            for name, label in zip(
                wanted,
                (row.key_id, row.user_id, row.team_id, row.model, row.provider),
                strict=True,
            )
        )
    ]
    return sorted(found, key=lambda row: (row.at, row.attempt_id), reverse=True)


def rank(times, percent):
    return sorted(times)[math.ceil(len(times) * percent / 100) - 1]


def ranks(times):
    return [rank(times, percent) for percent in (50, 95, 99)] if times else [None] * 3


def told(spread):
    return [spread.p50_ms, spread.p95_ms, spread.p99_ms]


def top(names):
    ordered = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
    return [Share(name, times) for name, times in ordered[:10]]


def told_by(rows):
    """The summary of these, from the definitions."""
    asked = [row for row in rows if row.attempt == 1]
    good = [row for row in rows if not row.error]
    sums = {
        name: sum(getattr(row, name) for row in rows)
        for name in Summary.__struct_fields__
        if name.endswith("_tokens")
    }
    return sums | {
        "requests": len(asked),
        "attempts": len(rows),
        "success_rate": min(1.0, len(good) / len(asked)) if asked else None,
        "cost_microusd": sum(row.cost_microusd or 0 for row in rows),
        "unpriced": sum(row.cost_microusd is None for row in rows),
        "estimated": sum(row.estimated for row in rows),
        "cache_hits": sum(row.cache != "" for row in asked),
        "errors": top(row.error for row in rows if row.error),
        "models": top(row.model for row in asked),
        "operations": top(row.operation for row in asked),
    }


def said(summary):
    return {name: getattr(summary, name) for name in told_by([])}


@pytest.fixture
def rows(database):
    found = drawn(700)
    insert(database, found)
    return found


@pytest.mark.parametrize("span", SPANS)
def test_it_says_of_any_span_and_filter_what_the_rows_say(database, rows, span):
    since_s, until_s = (NOW_S - before_s for before_s in SPANS[span])
    for name, filters in FILTERS.items():
        found = summaries.of(database, since_s, until_s, filters)
        wanted = chosen(rows, filters, since_s, until_s)
        assert said(found) == told_by(wanted), name
        took = [row.latency_ms for row in wanted if not row.error]
        first = [row.first_token_ms for row in wanted if row.first_token_ms is not None]
        assert told(found.latency) == ranks(took), name
        assert told(found.first_token) == ranks(first), name
        for spread, times in ((found.latency, took), (found.first_token, first)):
            # Sums are whole microseconds.
            mean_ms = statistics.fmean(times) if times else None
            assert spread.mean_ms == (mean_ms and pytest.approx(mean_ms, abs=0.001)), name


def test_percentiles_of_many_are_counted_or_of_the_newest(database, rows, monkeypatch):
    monkeypatch.setattr(requests, "RANKED_MAX", 100)
    since_s, until_s = NOW_S - 2 * DAY_S, NOW_S
    for name, filters in FILTERS.items():
        wanted = chosen(rows, filters, since_s, until_s)
        found = summaries.of(database, since_s, until_s, filters)
        assert said(found) == told_by(wanted), name
        newest = wanted[:100]
        took = [row.latency_ms for row in newest if not row.error]
        first = [row.first_token_ms for row in newest if row.first_token_ms is not None]
        is_counted = not (filters.key or filters.user or filters.team)
        if is_counted:
            # Of a model or provider these are whole hours; the span begins and ends with one.
            took = [row.latency_ms for row in wanted if not row.error]
            assert told(found.latency) == pytest.approx(ranks(took), rel=0.13), name
        else:
            assert told(found.latency) == ranks(took), name
        if filters == ALL:
            first = [row.first_token_ms for row in wanted if row.first_token_ms is not None]
            assert told(found.first_token) == pytest.approx(ranks(first), rel=0.13)
        else:
            assert told(found.first_token) == ranks(first), name


def test_less_than_a_day_of_a_model_is_told_by_its_newest(database, rows, monkeypatch):
    monkeypatch.setattr(requests, "RANKED_MAX", 50)
    filters = FILTERS["model"]
    found = summaries.of(database, NOW_S - 12_000, NOW_S, filters)
    newest = chosen(rows, filters, NOW_S - 12_000, NOW_S)[:50]
    assert told(found.latency) == ranks([row.latency_ms for row in newest if not row.error])


@pytest.mark.parametrize(("span_s", "step_s"), [(3_600, 60), (DAY_S, 3_600), (2 * DAY_S, DAY_S)])
def test_it_agrees_with_the_dashboard(database, rows, monkeypatch, span_s, step_s):
    monkeypatch.setattr(requests, "RANKED_MAX", 10)
    window = Window.ending(NOW_S, span_s, step_s)
    found = summaries.of(database, window.since_s, window.until_s, ALL)
    shown = traffic.total(trends.usage(database, window, "", by_provider=False))
    assert found.attempts > 100
    assert (shown.requests, shown.attempts, shown.hits, shown.cost_microusd) == (
        *(found.requests, found.attempts, found.cache_hits, found.cost_microusd),
    )
    assert 1 - found.success_rate == pytest.approx(shown.failed_share)
    for name, spread in (("latency", found.latency), ("first_token", found.first_token)):
        charted = trends.latency(database, window, "")[name].whole
        assert (charted.p50_ms, charted.p95_ms) == (spread.p50_ms, spread.p95_ms)


def test_where_rows_are_gone_whole_days_are_told_by_what_was_counted(database, rows):
    usage.keep_since(database, TODAY_S)
    while usage.delete_rows(database, TODAY_S) or usage.delete_minutes(database, TODAY_S):
        pass
    since_s = TODAY_S - DAY_S / 2
    wanted = chosen(rows, ALL, TODAY_S - DAY_S, NOW_S)
    found = summaries.of(database, since_s, NOW_S, ALL)
    assert (found.requests, found.cost_microusd) == tuple(
        told_by(wanted)[name] for name in ("requests", "cost_microusd")
    )
    times = [row.latency_ms for row in wanted if not row.error]
    assert told(found.latency) == pytest.approx(ranks(times), rel=0.13)
    # Of a user nothing was counted: what is left of rows is ranked.
    newest = chosen(rows, FILTERS["user"], TODAY_S, NOW_S)
    found = summaries.of(database, since_s, NOW_S, FILTERS["user"])
    assert told(found.latency) == ranks([row.latency_ms for row in newest if not row.error])


def test_more_models_than_fit_a_list_are_all_in_the_sums(database, monkeypatch):
    monkeypatch.setattr(summaries, "GROUPS_MAX", 12)
    insert(database, [usage_row(n, model=f"m{n % 40}", cost_microusd=1) for n in range(100)])
    found = summaries.of(database, 0.0, 2e9, ALL)
    assert (found.requests, found.attempts, found.cost_microusd) == (100, 100, 100)
    assert found.models == [Share(f"m{n}", 3) for n in (0, 1, 10, 11, 12, 13, 14, 15, 16, 17)]


def test_errors_are_those_of_the_newest_that_failed(database, monkeypatch):
    monkeypatch.setattr(summaries, "FAILED_MAX", 5)
    old = [usage_row(f"old{n}", at=NOW_S - 900, error="rate_limited") for n in range(9)]
    new = [usage_row(f"new{n}", at=NOW_S - n, error="internal_error") for n in range(5)]
    insert(database, [*old, *new])
    found = summaries.of(database, NOW_S - 3_600, NOW_S + 1, ALL)
    assert found.errors == [Share("internal_error", 5)]
    assert found.attempts == 14


def test_a_rare_user_among_many_is_found_by_the_minutes(database, monkeypatch):
    monkeypatch.setattr(requests, "ROWS_MAX", 30)
    many = [usage_row(n, at=NOW_S - n, latency_ms=1.0) for n in range(200)]
    rare = [usage_row(f"r{n}", at=NOW_S - 3_000 - n * 90, user_id="rare") for n in range(5)]
    insert(database, many + rare)
    found = summaries.of(database, NOW_S - DAY_S, NOW_S + 1, Filters(user="rare"))
    assert (found.requests, found.latency.p99_ms) == (5, 812.5)


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    with databases.migrated(Place(path=folder / "gatemill.db")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("summed", "sqlite_autoindex_usage_sums_1 (span_s=? AND start_s>? AND start_s<?)"),
        ("summed_of_key", "usage_sums_by_key (key_id=? AND span_s=? AND start_s>? AND start_s<?)"),
        ("summed_of_user", "usage_sums_by_user (user_id=? AND span_s=? AND start_s>?"),
        ("summed_of_team", "usage_sums_by_team (team_id=? AND span_s=? AND start_s>?"),
        ("summed_of_model", "usage_sums_by_model (model=? AND span_s=? AND start_s>?"),
        ("top_errors", "usage USING INDEX usage_failed (at>? AND at<?)"),
    ],
)
def test_what_a_summary_asks_reads_its_span_alone(planner, name, wanted):
    query = queries.load("reports")[name]
    said = queries.literal("plan", f"EXPLAIN QUERY PLAN {query.text}")
    plan = [row["detail"] for row in planner.rows(said, dict.fromkeys(query.params, 1))]
    assert [line for line in plan if wanted in line], plan
    assert not [line for line in plan if line.startswith("SCAN usage")], plan
