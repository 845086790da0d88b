"""Each rule sees its numbers: growth of counters, gauges as they are, nothing where too little is known."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gatemill.policy.incidents import RULES
from gatemill.policy.vitals import Bounds, Levels, Numbers, readings, unknown

BOUNDS = Bounds((1.0, 10.0), (0.1, 1.0))
LEVELS = Levels(
    requests_min=20,
    error_share=0.1,
    latency_p95_s=5.0,
    queue_age_s=300.0,
    dead_letters=10,
    webhook_error_share=0.5,
    ledger_rows=5_000,
    loop_lag_s=0.25,
    disk_share=0.9,
)
BEFORE = Numbers(
    requests=1_000,
    failed=900,
    durations=(100, 0, 900),
    lags=(0, 900, 100),
    webhook_tries=500,
    webhook_failed=500,
    rows_lost=7,
    rows_pending=0,
    ledger_works=True,
    config_refused=False,
    breakers={"p/m": 0},
    usable={"m": 1},
    queues={},
    dead_letters=400,
    disk_used=0.5,
)


def wrong(now: Numbers, levels: Levels = LEVELS) -> dict[str, str]:
    """Rules that see something wrong, and its subject."""
    seen = readings(now, BEFORE, levels, BOUNDS)
    return {one.name: one.subject for one in seen if one.value >= one.threshold}


# What changes, and the rule that then sees something wrong; "" is none.
CASES = [
    ({}, "", ""),
    ({"requests": 1_019, "failed": 919}, "", ""),  # too few
    ({"requests": 1_100, "failed": 909, "durations": (200, 0, 900)}, "", ""),
    ({"requests": 1_100, "failed": 910, "durations": (200, 0, 900)}, "ErrorRatio", ""),
    ({"requests": 1_100, "durations": (190, 10, 900)}, "LatencyP95", ""),
    ({"usable": {"m": 0}}, "NoHealthyProvider", "m"),
    ({"breakers": {"p/m": 2}}, "BreakerOpen", "p/m"),
    ({"breakers": {"p/m": 1}}, "BreakerOpen", "p/m"),  # half-open has not closed
    ({"queues": {"q": 300.0, "r": 1.0}}, "QueueOldestAge", "q"),
    ({"dead_letters": 409}, "", ""),
    ({"dead_letters": 410}, "DlqGrowing", ""),
    ({"dead_letters": 3}, "", ""),  # somebody has purged them
    ({"webhook_tries": 509, "webhook_failed": 509}, "", ""),  # too few
    ({"webhook_tries": 510, "webhook_failed": 505}, "WebhookFailing", ""),
    ({"rows_pending": 4_999}, "", ""),
    ({"rows_pending": 5_000}, "LedgerBehind", ""),
    ({"rows_lost": 8}, "LedgerBehind", ""),
    ({"ledger_works": False}, "LedgerBehind", ""),
    ({"config_refused": True}, "ConfigReloadFailed", ""),
    ({"disk_used": 0.9}, "DiskNearlyFull", ""),
    ({"lags": (10, 900, 100)}, "", ""),
    ({"lags": (0, 919, 100)}, "", ""),  # too few
    ({"lags": (0, 920, 100)}, "EventLoopLag", ""),
]


@pytest.mark.parametrize(("changes", "name", "subject"), CASES)
def test_a_rule_sees_its_own_number(changes, name, subject):
    now = replace(BEFORE, **changes)
    assert wrong(now) == ({name: subject} if name else {})
    assert wrong(now, replace(LEVELS, off=(name,))) == {}


def test_every_rule_is_tried():
    assert {name for _, name, _ in CASES} - {""} == set(RULES)


def test_what_could_not_be_read_is_said():
    assert unknown(BEFORE) == frozenset()
    now = replace(BEFORE, queues=None, dead_letters=None, disk_used=None)
    assert unknown(now) == {"QueueOldestAge", "DlqGrowing", "DiskNearlyFull"}
    assert wrong(now) == {}
    assert readings(now, now, LEVELS, BOUNDS)  # the rest is seen
