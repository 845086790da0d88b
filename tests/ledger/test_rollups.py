import asyncio
import math
import random
from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries, reports, rollups, trends, usage
from gatemill.ledger.place import Place
from gatemill.ledger.reports import LABELS, Query
from gatemill.policy import latencies
from usage_rows import usage_row
from writing import writing

DAY_S = 86_400
TODAY_S = 1_763_683_200  # a midnight
NOW_S = TODAY_S + 43_200.0
DAYS = 4  # the days before today from which rows come
COUNTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)


def labels(row):
    return (
        *(row.key_id, row.user_id, row.team_id, row.model, row.provider, row.target_model),
        *(row.operation, row.version, row.cache),
    )


def added_up(rows, step_s):
    """What the report should say, from the definitions: {(start, labels): Counter}."""
    found = {}
    for row in rows:
        start_s = math.floor(row.at / step_s) * step_s
        sums = found.setdefault((start_s, *labels(row)), Counter())
        sums["requests"] += row.attempt == 1
        sums["attempts"] += 1
        sums["failed"] += row.error != ""
        sums["unpriced"] += row.cost_microusd is None
        sums["estimated"] += row.estimated
        sums["cost_microusd"] += row.cost_microusd or 0
        sums["latency_us"] += 0 if row.error else int(row.latency_ms * 1000)
        sums["first_tokens"] += row.first_token_ms is not None
        sums["first_token_us"] += int((row.first_token_ms or 0) * 1000)
        for name in COUNTS:
            sums[name] += getattr(row, name)
    return found


def counted(rows, spans_s):
    """How often something took how long, from the definitions."""
    found = Counter()
    for row in rows:
        for span_s in () if row.error else spans_s:
            start_s = int(row.at // span_s) * span_s
            number = latencies.bucket(row.latency_ms)
            found[span_s, start_s, "", "", "latency", number] += 1
            if span_s > 60:
                found[span_s, start_s, row.model, row.provider, "latency", number] += 1
            if row.first_token_ms is not None:
                number = latencies.bucket(row.first_token_ms)
                found[span_s, start_s, "", "", "first_token", number] += 1
    return found


def told(database, step, since_s=0.0):
    query = Query(since_s, NOW_S + DAY_S, by=(*LABELS, step))
    return {
        msgspec.structs.astuple(line)[:10]: Counter(
            {name: getattr(line, name) for name in line.__struct_fields__[10:]}
        )
        for line in reports.lines(database, query)
    }


@st.composite
def rows(draw):
    number = draw(st.integers(0, 11))
    error = draw(st.sampled_from(("", "upstream_timeout")))
    # What a replayed row certainly has in common with the first one: when its request arrived.
    at = TODAY_S - DAYS * DAY_S + number * 30_001.5
    return usage_row(
        number,
        at=at,
        attempt=1 + number % 2,
        unsettled=draw(st.booleans()),
        error=error,
        estimated=draw(st.booleans()),
        model=draw(st.sampled_from(("fast", "slow"))),
        user_id=draw(st.sampled_from(("", "anna"))),
        version=draw(st.sampled_from(("", "v2"))),
        cost_microusd=draw(st.none() | st.integers(0, 10**9)),
        output_tokens=draw(st.integers(0, 10**6)),
        latency_ms=draw(st.floats(0.0, 1e6)),
        first_token_ms=draw(st.none() | st.floats(0.0, 1e6)),
    )


steps = st.one_of(
    st.tuples(st.just("insert"), st.lists(rows(), min_size=1, max_size=6)),
    st.tuples(st.just("settle"), st.none()),
    st.tuples(st.just("delete"), st.integers(0, DAYS)),
)


class Model:
    """What the ledger promises, in a dict."""

    def __init__(self):
        self.rows = {}  # all that ever counted, by attempt
        self.kept_s = 0

    def insert(self, row):
        if row.at < self.kept_s:
            return
        old = self.rows.get(row.attempt_id)
        if old is None or (old.unsettled and not row.unsettled):
            self.rows[row.attempt_id] = row

    def settle(self):
        for name, row in self.rows.items():
            if row.at >= self.kept_s:
                self.rows[name] = msgspec.structs.replace(row, unsettled=False)

    def present(self):
        return {name: row for name, row in self.rows.items() if row.at >= self.kept_s}


def run(database, model, name, value):
    if name == "insert":
        for row in value:
            model.insert(row)
        refused = usage.insert(database, value, NOW_S)
        assert refused == [row for row in value if row.at < model.kept_s]
    elif name == "settle":
        model.settle()
        usage.settle(database, NOW_S + 1)
    else:
        cut_s = TODAY_S - value * DAY_S
        model.kept_s = max(model.kept_s, cut_s)
        usage.keep_since(database, cut_s)
        usage.delete_rows(database, cut_s)
        while usage.delete_minutes(database, cut_s):
            pass


WIPE = (
    "DELETE FROM usage",
    "DELETE FROM usage_sums",
    "DELETE FROM latency_sums",
    "UPDATE usage_kept SET since_s = 0",
)
COUNTED = queries.literal(
    "counted",
    "SELECT span_s, start_s, model, provider, measure, bucket, times FROM latency_sums"
    " WHERE times <> 0",
)


def wipe(database):
    with database.transaction():
        for text in WIPE:
            database.run(queries.literal("wipe", text))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(steps, min_size=1, max_size=12), hours=st.integers(0, 24 * DAYS))
def test_sums_are_those_of_the_rows_whatever_is_replayed_replaced_or_deleted(
    database, script, hours
):
    wipe(database)
    model = Model()
    for name, value in script:
        run(database, model, name, value)
        present = model.present()
        assert {row.attempt_id: row for row in usage.recent(database, 100)} == present
        assert told(database, "day") == added_up(model.rows.values(), DAY_S)
        assert told(database, "minute") == added_up(present.values(), 60)
        found = {tuple(row.values())[:6]: row["times"] for row in database.rows(COUNTED)}
        assert found == counted(present.values(), (60, 3_600)) + counted(
            model.rows.values(), (DAY_S,)
        )
        assert told(database, "hour", model.kept_s) == added_up(present.values(), 3_600)
    # Any span that begins after what was deleted, and its money.
    since_s = max(model.kept_s, TODAY_S - hours * 3_600)
    expected = sum(row.cost_microusd or 0 for row in model.rows.values() if row.at >= since_s)
    by_model = [
        usage.spent(database, "model", name, since_s, math.inf) for name in ("fast", "slow")
    ]
    assert sum(by_model) == expected


async def test_two_processes_add_to_the_same_sums_without_waiting_for_each_other_for_ever(place):
    def batch(side, number):
        rows = [
            usage_row(f"{side}{number}-{n}", at=NOW_S + n % 7 * 60.0, key_id=f"key{n % 5}")
            for n in range(40)
        ]
        random.Random(f"{side}{number}").shuffle(rows)
        return rows

    async def insert(write, side):
        for number in range(25):
            await write(lambda db, n=number: usage.insert(db, batch(side, n), NOW_S))

    async with writing(place) as left, writing(place) as right:
        await asyncio.gather(insert(left, "left"), insert(right, "right"))
        rows = [row for side in ("left", "right") for n in range(25) for row in batch(side, n)]
        assert await left(lambda db: told(db, "minute")) == added_up(rows, 60)
        assert await left(lambda db: told(db, "day")) == added_up(rows, DAY_S)


def test_a_day_that_has_no_minutes_any_more_is_told_whole(database):
    usage.insert(database, [usage_row(n, at=TODAY_S - DAY_S + n * 3_600.0) for n in range(24)], 0.0)
    usage.keep_since(database, TODAY_S)
    usage.delete_rows(database, TODAY_S)
    while usage.delete_minutes(database, TODAY_S):
        pass
    half = Query(TODAY_S - DAY_S / 2, TODAY_S - DAY_S / 4)
    assert [line.attempts for line in reports.lines(database, half)] == [24]


@pytest.mark.parametrize(
    ("since_s", "until_s", "spans"),
    [
        (0.0, 2.0 * DAY_S, [(DAY_S, 0, 2 * DAY_S)]),
        (61.0, 119.0, [(60, 60, 120)]),
        (61.0, 121.0, [(60, 60, 180)]),
        (60.0, 60.0, []),
        (DAY_S - 1.0, DAY_S + 1.0, [(60, DAY_S - 60, DAY_S + 60)]),
        (
            DAY_S - 60.0,
            2 * DAY_S + 60.0,
            [(DAY_S, DAY_S, 2 * DAY_S), (60, DAY_S - 60, DAY_S), (60, 2 * DAY_S, 2 * DAY_S + 60)],
        ),
        (-5.0, DAY_S, [(DAY_S, 0, DAY_S)]),
    ],
)
def test_a_span_is_made_of_whole_days_and_the_minutes_around_them(since_s, until_s, spans):
    assert rollups.spans(since_s, until_s) == spans


def test_an_endless_span_ends():
    assert rollups.spans(0.0, math.inf)[0][0] == DAY_S


@pytest.mark.parametrize(
    "fields",
    [
        {"at": math.inf},
        {"latency_ms": math.nan},
        {"output_tokens": rollups.SUM_MAX + 1},
    ],
)
def test_a_row_that_would_spoil_the_sums_is_refused(database, fields):
    bad = usage_row("bad", **fields)
    assert usage.insert(database, [usage_row(1), bad], 0.0) == [bad]
    assert [line.attempts for line in reports.lines(database, Query(0.0, 2e9))] == [1]


def test_numbers_beyond_all_bounds_are_named():
    row = msgspec.structs.astuple(usage_row(1, output_tokens=1 << 60))
    with pytest.raises(InvalidValue, match="beyond all bounds"):
        rollups.minutes([row])


def test_rows_of_an_older_schema_are_in_the_sums_after_its_migration(tmp_path):
    old = [usage_row(n, at=TODAY_S - n * 7_000.25, cost_microusd=n or None) for n in range(50)]
    old.append(usage_row("late", at=TODAY_S + 0.75, error="upstream_timeout", first_token_ms=1.5))
    database = Place(path=tmp_path / "gatemill.db").open(writes=True)
    steps = queries.migrations()
    database.migrate(steps[:2], 0.0)
    fields = old[0].__struct_fields__[:23]
    values = ", ".join(f":{field}" for field in fields)
    insert = queries.literal("old", f"INSERT INTO usage ({', '.join(fields)}) VALUES ({values})")
    database.run_many(insert, [msgspec.structs.astuple(row)[:23] for row in old])
    database.migrate(steps, 0.0)
    assert told(database, "minute") == added_up(old, 60)
    assert told(database, "day") == added_up(old, DAY_S)
    hours = trends.usage(database, trends.Window(0, TODAY_S + DAY_S, 3_600), "", by_provider=True)
    assert {(one.start_s, one.model): one.attempts for one in hours} == Counter(
        (int(row.at // 3_600) * 3_600, row.model) for row in old
    )
    assert usage.recent(database, 1_000) == sorted(old, key=lambda row: -row.at)
    database.close()
