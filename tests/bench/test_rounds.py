import pytest
from bench.load import Load

from bench import rounds


@pytest.mark.parametrize(("body_bytes", "cut"), [(1000, 0), (1001, 0), (999, 1), (850, 2), (0, 10)])
def test_missing_bytes_are_counted_as_cut_short_answers(body_bytes, cut):
    run = Load(requests=10, succeeded=10, rate_s=1.0, body_bytes=body_bytes, latencies_us=[])
    assert rounds.cut_short(run, answer_bytes=100) == cut


def test_answers_that_failed_are_not_missed_twice():
    run = Load(requests=10, succeeded=4, rate_s=1.0, body_bytes=400, latencies_us=[])
    assert rounds.cut_short(run, answer_bytes=100) == 0


@pytest.mark.parametrize(
    ("capacity_s", "rate_s"), [(10_000.0, 400.0), (1201.0, 400.0), (1000.0, 250.0), (2.0, 1.0)]
)
def test_latency_is_taken_at_a_rate_that_makes_no_queue(capacity_s, rate_s):
    assert rounds.even_rate(capacity_s, 400.0) == rate_s
