from gatemill.ledger import usage
from gatemill.ledger.usage import Total
from usage_rows import usage_row

NOW_S = 1_763_700_000.0


def insert(database, rows, now_s=NOW_S):
    return usage.insert(database, rows, now_s)


def test_a_row_comes_back_as_it_was_written(database):
    rows = [
        usage_row(1, stream=True, estimated=True, first_token_ms=12.25, at=10.0),
        usage_row(2, cost_microusd=None, error="upstream_timeout", status=504, at=9.0),
    ]
    assert insert(database, rows) == []
    assert usage.recent(database, 10) == rows


def test_a_row_written_twice_counts_once_and_keeps_its_first_form(database):
    insert(database, [usage_row(1), usage_row(1), usage_row(2)])
    insert(database, [usage_row(1, cost_microusd=999)])
    assert sorted(row.cost_microusd for row in usage.recent(database, 10)) == [250, 250]


def test_a_row_that_cannot_be_stored_does_not_hold_up_the_others(database):
    bad = usage_row("bad", input_tokens=2**80)
    assert insert(database, [usage_row(1), bad, usage_row(2)]) == [bad]
    assert {row.request_id for row in usage.recent(database, 10)} == {"req_1", "req_2"}


def test_the_newest_rows_come_first_up_to_the_limit(database):
    insert(database, [usage_row(n, at=float(n)) for n in range(10)])
    assert [row.at for row in usage.recent(database, 3)] == [9.0, 8.0, 7.0]


def test_totals_add_up_per_key_and_model(database):
    retried = {"request_id": "req_1", "attempt": 2, "attempt_id": "req_1-2"}
    insert(
        database,
        [
            usage_row(1, error="upstream_timeout", cost_microusd=0, output_tokens=0),
            usage_row(1, **retried),
            usage_row(2, cost_microusd=None),
            usage_row(3, model="slow", cost_microusd=10_000),
            usage_row(4, key_id="zzzzzzzzzz", cost_microusd=1),
        ],
    )
    found = usage.totals(database, 0.0, 2e9)
    assert [(line.key_id, line.model, line.cost_microusd) for line in found] == [
        ("abcdefghij", "slow", 10_000),
        ("abcdefghij", "fast", 250),
        ("zzzzzzzzzz", "fast", 1),
    ]
    assert found[1] == Total(
        key_id="abcdefghij",
        model="fast",
        requests=2,
        attempts=3,
        failed=1,
        unpriced=1,
        prompt_tokens=3 * 123,
        cache_read_tokens=60,
        completion_tokens=2 * 45 + 5,
        cost_microusd=250,
    )


def test_totals_take_in_the_beginning_and_leave_out_the_end(database):
    insert(database, [usage_row(n, at=float(n)) for n in range(10)])
    assert usage.totals(database, 2.0, 5.0)[0].attempts == 3
    assert usage.totals(database, 20.0, 50.0) == []


def test_old_rows_are_deleted_a_bounded_number_at_a_time(database):
    count = usage.DELETE_ROWS + 10
    insert(database, [usage_row(n, at=float(n)) for n in range(count)])
    before_s = float(count - 5)
    assert usage.delete_rows(database, before_s) == usage.DELETE_ROWS
    assert usage.delete_rows(database, before_s) == 5
    assert usage.delete_rows(database, before_s) == 0
    assert min(row.at for row in usage.recent(database, 100)) == before_s
