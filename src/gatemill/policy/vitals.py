"""From the plain numbers of a process to what each rule sees.

Rule: counters say something by how much they grew within the window, gauges by themselves; what could
not be read is None, and its rule says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.policy.incidents import RULES, Reading, quantile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

TRIES_MIN = 10  # of webhooks, before their share counts
LAG_TIMES_MIN = 20  # timers, before their lateness counts


class Levels(Struct, frozen=True):
    """From where on something is wrong; a rule in `off` sees nothing."""

    requests_min: int
    error_share: float
    latency_p95_s: float
    queue_age_s: float
    dead_letters: int
    webhook_error_share: float
    ledger_rows: int
    loop_lag_s: float
    disk_share: float
    off: Collection[str] = ()


class Numbers(Struct, frozen=True):
    """One look. The first ones are totals since the start."""

    requests: int
    failed: int  # with a status of 500 or more
    durations: tuple[int, ...]  # requests by bucket
    lags: tuple[int, ...]  # timers by bucket
    webhook_tries: int
    webhook_failed: int
    rows_lost: int
    rows_pending: int
    ledger_works: bool
    config_refused: bool
    breakers: Mapping[str, int]  # target: 0 is closed
    usable: Mapping[str, int]  # model: targets that take requests
    queues: Mapping[str, float] | None  # queue: how long its first job has been due, in seconds
    dead_letters: int | None
    disk_used: float | None  # share


class Bounds(Struct, frozen=True):
    """Those of the buckets."""

    durations_s: tuple[float, ...]
    lags_s: tuple[float, ...]


def readings(now: Numbers, before: Numbers, levels: Levels, bounds: Bounds) -> list[Reading]:
    """What every rule that is not off sees; `before` is the look at the beginning of the window."""
    every = (
        *_requests(now, before, levels, bounds),
        *_targets(now),
        *_jobs(now, before, levels),
        *_process(now, before, levels, bounds),
    )
    return [one for one in every if one.name not in levels.off]


def unknown(now: Numbers) -> frozenset[str]:
    """The rules of which nothing could be read."""
    missing = {
        "QueueOldestAge": now.queues,
        "DlqGrowing": now.dead_letters,
        "DiskNearlyFull": now.disk_used,
    }
    return frozenset(name for name, value in missing.items() if value is None and name in RULES)


def _requests(now: Numbers, before: Numbers, levels: Levels, bounds: Bounds) -> Iterator[Reading]:
    requests = now.requests - before.requests
    if requests < max(1, levels.requests_min):
        return
    yield Reading("ErrorRatio", "", (now.failed - before.failed) / requests, levels.error_share)
    p95_s = quantile(bounds.durations_s, _grown(now.durations, before.durations), 0.95)
    if p95_s is not None:
        yield Reading("LatencyP95", "", p95_s, levels.latency_p95_s)


def _targets(now: Numbers) -> Iterator[Reading]:
    for model, usable in now.usable.items():
        yield Reading("NoHealthyProvider", model, float(usable == 0), 1.0)
    for target, state in now.breakers.items():
        # One that is half-open has not closed yet: its probe may still fail.
        yield Reading("BreakerOpen", target, float(state != 0), 1.0)


def _jobs(now: Numbers, before: Numbers, levels: Levels) -> Iterator[Reading]:
    for queue, age_s in (now.queues or {}).items():
        yield Reading("QueueOldestAge", queue, age_s, levels.queue_age_s)
    if now.dead_letters is not None and before.dead_letters is not None:
        more = now.dead_letters - before.dead_letters
        yield Reading("DlqGrowing", "", max(0, more), levels.dead_letters)
    tries = now.webhook_tries - before.webhook_tries
    if tries >= TRIES_MIN:
        share = (now.webhook_failed - before.webhook_failed) / tries
        yield Reading("WebhookFailing", "", share, levels.webhook_error_share)


def _process(now: Numbers, before: Numbers, levels: Levels, bounds: Bounds) -> Iterator[Reading]:
    behind = now.rows_pending
    if not now.ledger_works or now.rows_lost > before.rows_lost:
        behind = max(behind, levels.ledger_rows)
    yield Reading("LedgerBehind", "", behind, levels.ledger_rows)
    yield Reading("ConfigReloadFailed", "", float(now.config_refused), 1.0)
    if now.disk_used is not None:
        yield Reading("DiskNearlyFull", "", now.disk_used, levels.disk_share)
    lags = _grown(now.lags, before.lags)
    if sum(lags) >= LAG_TIMES_MIN:
        late_s = quantile(bounds.lags_s, lags, 0.99)
        assert late_s is not None
        yield Reading("EventLoopLag", "", late_s, levels.loop_lag_s)


def _grown(now: Sequence[int], before: Sequence[int]) -> list[int]:
    return [a - b for a, b in zip(now, before, strict=True)]
