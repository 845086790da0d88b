import math
import re
from collections import Counter
from pathlib import Path

import pytest

import databases
from gatemill.ledger import queries, trends, usage
from gatemill.ledger.place import Place
from gatemill.ledger.trends import Spread, Window
from gatemill.policy.latencies import bucket, quantile
from usage_rows import usage_row

DAY_S = 86_400
TODAY_S = 1_763_683_200  # a midnight
NOW_S = TODAY_S + 43_230.0

LARGE = re.compile(r"\b(usage|usage_sums|latency_sums)\b")


def rows():
    """Requests of two days: half of fast are answered from the cache, every fourth of slow fails first."""
    found = []
    for number in range(200):
        at = NOW_S - number * 700.5
        if number % 2:
            hit = number % 4 == 1
            found.append(
                usage_row(
                    number,
                    at=at,
                    cache="hit" if hit else "",
                    provider="" if hit else "near",
                    latency_ms=10.0 + number,
                    first_token_ms=5.0,
                )
            )
            continue
        failed = number % 8 == 0
        found.append(
            usage_row(
                number,
                at=at,
                model="slow",
                error="upstream_timeout" if failed else "",
                key_id="dear",
                cost_microusd=1_000,
                latency_ms=900.0,
            )
        )
        if failed:
            ids = {"attempt_id": f"req_{number}-2", "attempt": 2, "provider": "other"}
            found.append(usage_row(number, at=at, model="slow", latency_ms=2_000.0, **ids))
    return found


@pytest.fixture
def filled(database):
    usage.insert(database, rows(), NOW_S)
    return database


@pytest.mark.parametrize(("span_s", "step_s"), [(3_600, 60), (DAY_S, 3_600), (7 * DAY_S, DAY_S)])
def test_lines_are_those_of_the_rows(filled, span_s, step_s):
    window = Window.ending(NOW_S, span_s, step_s)
    lines = trends.usage(filled, window, "", by_provider=True)
    wanted = Counter()
    for row in rows():
        if row.at >= window.since_s:
            place = (int(row.at // step_s) * step_s, row.model, row.provider)
            wanted[(*place, "requests")] += row.attempt == 1
            wanted[(*place, "attempts")] += 1
            wanted[(*place, "failed")] += row.error != ""
            wanted[(*place, "hits")] += row.cache != "" and row.attempt == 1
            wanted[(*place, "cost_microusd")] += row.cost_microusd
            wanted[(*place, "output_tokens")] += row.output_tokens
    found = Counter(
        {
            (line.start_s, line.model, line.provider, name): getattr(line, name)
            for line in lines
            for name in ("requests", "attempts", "failed", "hits", "cost_microusd", "output_tokens")
        }
    )
    assert found == wanted
    assert [line.start_s for line in lines] == sorted(
        (line.start_s for line in lines), reverse=True
    )


def test_one_model_can_be_looked_at_alone_and_providers_together(filled):
    window = Window.ending(NOW_S, DAY_S, 3_600)
    apart = trends.usage(filled, window, "slow", by_provider=True)
    assert {(line.model, line.provider) for line in apart} == {
        ("slow", "openai"),
        ("slow", "other"),
    }
    together = trends.usage(filled, window, "slow", by_provider=False)
    assert {(line.model, line.provider) for line in together} == {("slow", "")}
    assert sum(line.attempts for line in apart) == sum(line.attempts for line in together)


@pytest.mark.parametrize(("span_s", "step_s"), [(3_600, 60), (DAY_S, 3_600), (7 * DAY_S, DAY_S)])
def test_durations_of_all_models_are_those_of_the_rows(filled, span_s, step_s):
    window = Window.ending(NOW_S, span_s, step_s)
    good = [row for row in rows() if row.at >= window.since_s and not row.error]
    times = Counter(bucket(row.latency_ms) for row in good)
    found = trends.latency(filled, window, "")
    assert found["latency"].whole == Spread(quantile(times, 0.5), quantile(times, 0.95))
    assert set(found["latency"].steps) == {int(row.at // step_s) * step_s for row in good}
    assert found["first_token"].whole.p95_ms == pytest.approx(5.0, rel=0.13)


def test_durations_of_one_model_begin_with_hours_and_are_known_by_provider(filled):
    window = Window.ending(NOW_S, DAY_S, 3_600)
    slow = trends.latency(filled, window, "slow")
    assert slow["latency"].whole.p50_ms == pytest.approx(900.0, rel=0.13)
    assert slow["first_token"].whole == Spread()
    assert trends.latency(filled, Window.ending(NOW_S, 3_600, 60), "slow")["latency"].steps == {}
    targets = trends.targets(filled, window)
    assert trends.spread([targets["slow", "other"]]).p50_ms == pytest.approx(2_000.0, rel=0.13)
    assert set(targets) == {("fast", ""), ("fast", "near"), ("slow", "openai"), ("slow", "other")}


@pytest.mark.parametrize(("span_s", "step_s"), [(3_600, 60), (DAY_S, 3_600), (7 * DAY_S, DAY_S)])
def test_the_dearest_key_comes_first(filled, span_s, step_s):
    first, *_ = trends.spenders(filled, Window.ending(NOW_S, span_s, step_s))
    assert first.key_id == "dear"
    assert first.cost_microusd > 0


def test_what_has_no_price_is_counted_beside_the_sum(database):
    costs = [None, 700, None]
    made = [usage_row(n, at=NOW_S, cost_microusd=cost) for n, cost in enumerate(costs)]
    usage.insert(database, made, NOW_S)
    window = Window.ending(NOW_S, 3_600, 60)
    (line,) = trends.usage(database, window, "", by_provider=True)
    (spender,) = trends.spenders(database, window)
    assert [(each.cost_microusd, each.unpriced) for each in (line, spender)] == [(700, 2)] * 2


def test_what_is_replaced_leaves_no_count_behind(database):
    worst = usage_row(1, at=NOW_S, unsettled=True, latency_ms=60_000.0, first_token_ms=1.0)
    usage.insert(database, [worst], NOW_S)
    true = usage_row(1, at=NOW_S, latency_ms=100.0)
    usage.insert(database, [true], NOW_S)
    found = trends.latency(database, Window.ending(NOW_S, 3_600, 60), "")
    assert found["latency"].whole.p95_ms == pytest.approx(100.0, rel=0.13)
    assert found["first_token"].whole == Spread()


def test_minutes_and_hours_end_with_their_rows_and_days_stay(filled):
    usage.keep_since(filled, TODAY_S)
    while usage.delete_minutes(filled, TODAY_S):
        pass
    for span_s in (60, 3_600, DAY_S):
        for table in ("usage_sums", "latency_sums"):
            text = f"SELECT min(start_s) AS first_s FROM {table} WHERE span_s = {span_s}"
            first_s = filled.rows(queries.literal("first", text))[0]["first_s"]
            assert (first_s >= TODAY_S) is (span_s < DAY_S), (table, span_s)


def test_a_window_holds_this_moment_in_its_last_step():
    window = Window.ending(NOW_S, DAY_S, 3_600)
    assert window.until_s - window.since_s == DAY_S
    assert window.starts[-1] <= NOW_S < window.until_s
    assert len(window.starts) == 24
    assert [Window(0, 0, step).sums_s for step in (60, 3_600, 7_200, DAY_S)] == [
        *(60, 3_600, 3_600, DAY_S)
    ]


def test_numbers_that_no_bucket_holds_refuse_the_row_before_anything_is_counted(database):
    bad = usage_row("bad", latency_ms=math.nan)
    assert usage.insert(database, [bad], NOW_S) == [bad]
    assert trends.latency(database, Window.ending(NOW_S, 3_600, 60), "")["latency"].steps == {}


def plan(database, query):
    asked = f"EXPLAIN QUERY PLAN {query.question}"
    values = [1] * len(query.params)
    return [row["detail"] for row in database._connection.execute(asked, values).fetchall()]


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    with databases.migrated(Place(path=folder / "gatemill.db")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("trend_usage", "usage_sums_1"),
        ("target_latencies", "latency_sums_1"),
        ("top_keys", "usage_sums_1"),
    ],
)
def test_what_charts_ask_reads_their_span_alone(planner, name, index):
    lines = plan(planner, queries.load("trends")[name])
    assert any(index in line and "span_s=? AND start_s>?" in line for line in lines), lines


def test_latencies_of_one_model_are_looked_up_step_by_step(planner):
    lines = plan(planner, queries.load("trends")["trend_latencies"])
    assert any("(span_s=? AND start_s=? AND model=?)" in line for line in lines), lines


def test_no_statement_at_all_reads_a_whole_table_of_usage(planner):
    folder = Path(queries.__file__).parent / "sql"
    rooms = [path.stem for path in folder.glob("*.sql") if path.stem != "knowledge_postgres"]
    every = [query for room in rooms for query in queries.load(room).values()]
    asked = [query for query in every if LARGE.search(query.text)]
    assert len(asked) > 20
    # In the order of an index, with a limit, is not the whole.
    scans = [
        (query.name, line)
        for query in asked
        for line in plan(planner, query)
        if re.match(r"SCAN (usage|usage_sums|latency_sums)(?! USING INDEX)", line)
    ]
    assert scans == []
