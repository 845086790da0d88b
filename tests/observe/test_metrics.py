"""Numbers behind /metrics: bounds, sums, and the names that dashboards rely on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gatemill.observe.metrics import (
    DURATION_S,
    OTHER,
    OVERHEAD_S,
    SERIES_MAX,
    Histogram,
    Labelled,
    Meter,
    page,
)
from gateway_parts import numbers

NAMES = """\
gatemill_attempts counter outcome,provider
gatemill_build_info gauge config,version
gatemill_cost_usd counter model,provider
gatemill_errors counter code
gatemill_event_loop_lag_seconds histogram le
gatemill_left counter
gatemill_opened counter target
gatemill_overhead_seconds histogram le,operation
gatemill_request_duration_seconds histogram le,model,operation
gatemill_requests counter model,operation,provider,status
gatemill_requests_in_flight gauge
gatemill_state gauge target
gatemill_time_to_first_token_seconds histogram le,model,provider
gatemill_tokens counter direction,model,provider
gatemill_unpriced_attempts counter provider
gatemill_waiting gauge
"""


def used() -> Meter:
    """A meter in which everything has happened once."""
    meter = Meter()
    series = meter.series("chat", "m", "a", 200)
    series.requests += 1
    for histogram in (series.duration, series.overhead, series.first_token):
        histogram.observe(0.02)
    series.tokens = [1, 2, 3, 4]
    series.cost_microusd = 1_500_000
    meter.error("overloaded")
    meter.attempt("a", "ok")
    meter.unpriced("a")
    meter.in_flight = 3
    meter.loop_lag.observe(0.001)
    meter.gauges["gatemill_waiting"] = ("Those who wait.", lambda: 2)
    meter.counters["gatemill_left"] = ("Those who left.", lambda: 5)
    meter.labelled_gauges["gatemill_state"] = Labelled("By name.", ("target",), lambda: {("a",): 1})
    meter.labelled_counters["gatemill_opened"] = Labelled(
        "By name.", ("target",), lambda: {("a",): 3}
    )
    return meter


def families(meter: Meter) -> list:
    return list(text_string_to_metric_families(page(meter, "0.1.0", "abc").decode()))


def test_names_types_and_labels_are_those_that_dashboards_rely_on():
    seen = []
    for family in families(used()):
        labels = sorted({name for sample in family.samples for name in sample.labels})
        seen.append(f"{family.name} {family.type} {','.join(labels)}".rstrip())
    assert sorted(seen) == NAMES.splitlines()


@pytest.mark.parametrize("meter", [Meter(), used()], ids=["empty", "used"])
def test_the_page_parses_and_every_family_says_what_it_is(meter):
    found = families(meter)
    assert found
    for family in found:
        assert family.documentation.endswith("."), family.name
        assert family.type != "unknown"


def test_what_was_counted_is_on_the_page():
    seen = numbers(used())
    assert seen['requests_total{model="m",operation="chat",provider="a",status="200"}'] == 1
    assert seen['cost_usd_total{model="m",provider="a"}'] == 1.5
    assert seen['tokens_total{direction="cache_write",model="m",provider="a"}'] == 3
    assert seen['errors_total{code="overloaded"}'] == 1
    assert seen['attempts_total{outcome="ok",provider="a"}'] == 1
    assert seen['unpriced_attempts_total{provider="a"}'] == 1
    assert seen["requests_in_flight{}"] == 3
    assert seen["waiting{}"] == 2
    assert seen["left_total{}"] == 5
    assert seen['state{target="a"}'] == 1
    assert seen['opened_total{target="a"}'] == 3
    assert seen['build_info{config="c",version="1"}'] == 1
    assert seen['request_duration_seconds_bucket{le="0.025",model="m",operation="chat"}'] == 1
    assert seen['request_duration_seconds_bucket{le="0.01",model="m",operation="chat"}'] == 0


def test_a_request_without_a_provider_counts_no_tokens_and_no_first_token():
    meter = Meter()
    meter.series("chat", "", "", 401).requests += 1
    seen = numbers(meter)
    assert seen['requests_total{model="",operation="chat",provider="",status="401"}'] == 1
    assert not [name for name in seen if name.startswith(("tokens", "time_to_first", "cost"))]


def test_series_are_found_again():
    meter = Meter()
    assert meter.series("chat", "m", "a", 200) is meter.series("chat", "m", "a", 200)
    assert meter.series("chat", "m", "a", 200) is not meter.series("chat", "m", "a", 500)


def test_beyond_the_bound_new_models_share_one_series():
    meter = Meter()
    for number in range(SERIES_MAX + 50):
        meter.series("chat", f"m{number}", "a", 200).requests += 1
    assert len(meter._series) == SERIES_MAX + 1
    assert meter.series("chat", OTHER, "a", 200).requests == 50
    assert meter.series("chat", "m0", "a", 200).requests == 1


def test_histograms_of_several_providers_and_statuses_are_merged():
    meter = Meter()
    for provider, status, duration_s in (("a", 200, 0.02), ("b", 200, 0.3), ("a", 500, 700.0)):
        series = meter.series("chat", "m", provider, status)
        series.requests += 1
        series.duration.observe(duration_s)
    seen = numbers(meter)
    labels = 'model="m",operation="chat"'
    assert seen[f"request_duration_seconds_count{{{labels}}}"] == 3
    assert seen[f"request_duration_seconds_sum{{{labels}}}"] == pytest.approx(700.32)
    assert seen[f'request_duration_seconds_bucket{{le="0.5",{labels}}}'] == 2
    assert seen[f'request_duration_seconds_bucket{{le="600.0",{labels}}}'] == 2
    assert seen[f'request_duration_seconds_bucket{{le="+Inf",{labels}}}'] == 3


@pytest.mark.parametrize("bounds", [DURATION_S, OVERHEAD_S])
def test_a_value_on_a_bound_is_within_it(bounds):
    for index, bound in enumerate(bounds):
        histogram = Histogram(bounds)
        histogram.observe(bound)
        assert histogram.counts.index(1) == index


@given(st.lists(st.floats(0, 1000), max_size=30), st.lists(st.floats(0, 1000), max_size=30))
def test_merging_is_observing_all_of_them(left, right):
    first, second, both = Histogram(DURATION_S), Histogram(DURATION_S), Histogram(DURATION_S)
    for histogram, values in ((first, left), (second, right), (both, left + right)):
        for value in values:
            histogram.observe(value)
    first.merge(second)
    assert first.counts == both.counts
    assert first.total == pytest.approx(both.total)


@given(st.lists(st.floats(0, 1000), max_size=30))
def test_buckets_are_cumulative_and_end_with_all(values):
    histogram = Histogram(DURATION_S)
    for value in values:
        histogram.observe(value)
    buckets, _ = histogram.samples()
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert buckets[-1] == ("+Inf", len(values))
    for bound, count in buckets[:-1]:
        assert count == sum(value <= float(bound) for value in values)


def test_histograms_with_other_bounds_are_not_merged():
    with pytest.raises(ValueError, match="shorter"):
        Histogram(DURATION_S).merge(Histogram(OVERHEAD_S))
