import pytest
from bench.failures import BenchStopped

from bench import load

REPORT = """\
starting benchmark...
Application protocol: http/1.1

finished in 1.01s, 39609.22 req/s, 40.00MB/s
requests: 40000 total, 40000 started, 39990 done, 39970 succeeded, 30 failed, 10 errored, 0 timeout
status codes: 39970 2xx, 0 3xx, 20 4xx, 0 5xx
traffic: 40.40MB (42360000) total, 1.72MB (1800000) headers (space savings 0.00%), 37.65MB (39480000) data
                     min         max         mean         sd        +/- sd
time for request:      340us     15.90ms      1.60ms       850us    85.96%
"""


def test_a_report_is_read_with_exact_counts_and_bytes():
    run = load.parse(REPORT, 40_000, "")
    assert run == load.Load(
        requests=40_000, succeeded=39_970, rate_s=39609.22, body_bytes=39_480_000, latencies_us=[]
    )
    assert run.failed == 30


def test_an_unknown_report_stops_the_run_and_is_shown():
    with pytest.raises(BenchStopped, match="connection refused"):
        load.parse("connection refused", 64, "")


def test_latencies_are_those_of_good_answers_in_ascending_order():
    log = "1760000000000000\t200\t420\n1760000000000100\t502\t9\n1760000000000200\t200\t180\n"
    assert load.parse_log(log + "1760000000000300\t-1\t5\n") == [180, 420]
