import math

import pytest
from msgspec.structs import asdict

from gatemill.core.errors import InvalidValue
from gatemill.ledger import reports, requests, summaries, usage
from gatemill.ledger.reports import Line, Query, Reports
from gatemill.ledger.requests import Sieve
from gatemill.ledger.usage import Filters
from usage_rows import usage_row

TODAY_S = 1_763_683_200  # a midnight
NOW_S = TODAY_S + 43_200.0
WEEK = Query(TODAY_S - 6 * 86_400.0, NOW_S)


def insert(database, rows):
    assert usage.insert(database, rows, NOW_S) == []


def told(database, **fields):
    query = Query(**({"since_s": WEEK.since_s, "until_s": WEEK.until_s} | fields))
    return reports.lines(database, query)


@pytest.fixture
def filled(database):
    people = ("anna", "ben", "")
    insert(
        database,
        [
            usage_row(
                n,
                at=TODAY_S - 86_400.0 * (n % 3) + 60.0 * n,
                key_id=f"key{n % 2}",
                user_id=people[n % 3],
                team_id="core" if n % 3 == 0 else "web",
                model=("fast", "slow")[n % 2],
                provider=("openai", "echo", "local")[n % 3],
                operation=("chat", "embeddings")[n // 30],
                version=("", "v1", "v2")[n % 3],
                cache="hit" if n % 10 == 0 else "",
                cost_microusd=n * n,
            )
            for n in range(60)
        ],
    )
    return database


def test_without_labels_there_is_one_line(filled):
    (line,) = told(filled)
    assert (line.requests, line.cost_microusd) == (60, sum(n * n for n in range(60)))
    assert (line.start_s, line.key_id, line.version) == (0, "", "")
    assert line.mean_latency_ms == 812.5
    assert line.mean_first_token_ms is None


@pytest.mark.parametrize(
    ("label", "field", "names"),
    [
        ("key", "key_id", {"key0", "key1"}),
        ("user", "user_id", {"anna", "ben", ""}),
        ("team", "team_id", {"core", "web"}),
        ("model", "model", {"fast", "slow"}),
        ("provider", "provider", {"openai", "echo", "local"}),
        ("target", "target_model", {"gpt-4o-mini"}),
        ("operation", "operation", {"chat", "embeddings"}),
        ("version", "version", {"", "v1", "v2"}),
        ("cache", "cache", {"", "hit"}),
        ("day", "start_s", {TODAY_S, TODAY_S - 86_400, TODAY_S - 2 * 86_400}),
    ],
)
def test_each_label_splits_the_sum(filled, label, field, names):
    lines = told(filled, by=(label,))
    assert {getattr(line, field) for line in lines} == names
    assert len(lines) == len(names)
    assert sum(line.attempts for line in lines) == 60


def test_labels_combine_and_the_dearest_comes_first(filled):
    lines = told(filled, by=("model", "key"))
    assert [(line.model, line.key_id) for line in lines] == [("slow", "key1"), ("fast", "key0")]
    assert lines[0].cost_microusd == sum(n * n for n in range(1, 60, 2))


def test_time_comes_first_then_money(filled):
    lines = told(filled, by=("hour", "key"))
    assert [line.start_s for line in lines] == sorted(line.start_s for line in lines)
    assert all(line.start_s % 3_600 == 0 for line in lines)
    assert sum(line.attempts for line in lines) == 60


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(key="key1"), 30),
        (Filters(user="anna"), 20),
        (Filters(team="web"), 40),
        (Filters(model="fast"), 30),
        (Filters(provider="echo"), 20),
        (Filters(provider="echo", model="fast"), 10),
        (Filters(key="nobody"), 0),
    ],
)
def test_filters_choose_rows_everywhere(filled, filters, count):
    assert sum(line.attempts for line in told(filled, filters=filters)) == count
    sieve = Sieve(**asdict(filters))
    assert len(requests.page(filled, requests.Wanted(sieve, 100)).rows) == count
    assert summaries.of(filled, WEEK.since_s, WEEK.until_s, filters).attempts == count


@pytest.mark.parametrize("step", [(), ("day",), ("hour",), ("minute",)])
def test_a_span_has_its_beginning_and_not_its_end(filled, step):
    lines = told(filled, since_s=TODAY_S + 60.0 * 3, until_s=TODAY_S + 60.0 * 9, by=step)
    assert sum(line.attempts for line in lines) == 2  # today's are every third: 3 and 6


def test_a_report_is_as_long_as_asked(filled):
    assert len(told(filled, by=("minute",), limit=7)) == 7
    assert told(filled, limit=0) == []


def test_replaced_rows_leave_no_line(database):
    held = usage_row(1, at=NOW_S, unsettled=True, error="unsettled", model="cut")
    insert(database, [held])
    insert(database, [usage_row(1, at=NOW_S, model="whole")])
    assert [line.model for line in told(database, by=("model",), until_s=2e9)] == ["whole"]


def test_nothing_used_is_no_line(database):
    assert told(database) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (Query(0.0, 1.0, by=("keys",)), "not by keys"),
        (Query(0.0, 1.0, by=("day", "hour")), "one of minute, hour and day"),
        (Query(1.0, 1.0), "must begin before"),
        (Query(math.nan, 1.0), "must begin before"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(query, words):
    with pytest.raises(InvalidValue, match=words):
        await Reports(None).usage(query)


def test_the_attempts_of_a_request_come_in_their_order(database):
    attempts = [usage_row(1, attempt=n, attempt_id=f"req_1-{n}") for n in (1, 2, 3)]
    insert(database, [*reversed(attempts), usage_row(10)])
    assert usage.of_request(database, "req_1") == attempts
    assert usage.of_request(database, "req_") == []


def test_lines_say_means_only_of_what_happened(filled):
    fields = dict.fromkeys(Line.__struct_fields__, 0)
    assert Line(**fields | {"attempts": 2, "failed": 2}).mean_latency_ms is None
    one = Line(**fields | {"attempts": 2, "failed": 1, "latency_us": 1500, "first_tokens": 1})
    assert one.mean_latency_ms == 1.5
    assert one.mean_first_token_ms == 0.0
