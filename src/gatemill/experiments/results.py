"""Sums -> what is known of each arm, and whether they differ. Rule: pure; it says `continue` until it knows."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.ledger.experiment_rows import Metric
from gatemill.policy import confidence
from gatemill.policy.confidence import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.ledger.experiment_rows import Arm, Experiment
    from gatemill.ledger.outcomes import Counted, Sums, Told

# Counted from the rows of usage, without anybody sending them.
AUTOMATIC = {
    "error_rate": Metric("error_rate", "binary", "lower"),
    "latency_ms": Metric("latency_ms", "mean", "lower"),
    "cost_usd": Metric("cost_usd", "mean", "lower"),
    "tokens": Metric("tokens", "mean", "lower"),
}
_NOTHING = Sample(0)


class Figures(Struct):
    """What is known of one arm."""

    requests: int
    samples: Mapping[str, Sample]  # by metric
    times: Mapping[str, int]  # by metric: values; as many units as its sample counts


def figures(one: Experiment, sums: Sums) -> dict[str, Figures]:
    """Of each arm, by its name."""
    return {arm.name: _figures(arm.name, sums) for arm in one.arms}


def told(
    one: Experiment, sums: Sums, p95_ms: Mapping[str, float | None], until_s: float
) -> dict[str, Any]:
    """The results as JSON has them."""
    known = figures(one, sums)
    own = {metric.name for metric in one.metrics}
    metrics = [*one.metrics, *(metric for name, metric in AUTOMATIC.items() if name not in own)]
    primary = one.metrics[0]
    return {
        "object": "experiment.results",
        "id": one.id,
        "name": one.name,
        "state": one.state,
        "winner": one.winner or None,
        "since": one.started_at,
        "until": until_s,
        "metric": primary.name,
        "arms": [_arm(arm, known[arm.name], primary, p95_ms.get(arm.name)) for arm in one.arms],
        "comparisons": comparisons(one, primary, known),
        "metrics": [_metric(one, metric, known) for metric in metrics],
    }


def comparisons(
    one: Experiment, metric: Metric, known: Mapping[str, Figures]
) -> list[dict[str, Any]]:
    """Every two arms. Together they are wrong at most once in twenty experiments."""
    pairs = list(combinations([arm.name for arm in one.arms], 2))
    found = []
    for a, b in pairs:
        first, second = (known[name].samples.get(metric.name, _NOTHING) for name in (a, b))
        interval = confidence.difference(
            first, second, binary=metric.kind == "binary", alpha=confidence.ALPHA / len(pairs)
        )
        found.append(
            {
                "a": a,
                "b": b,
                "diff": None if interval is None else interval.value,
                "low": None if interval is None else interval.low,
                "high": None if interval is None else interval.high,
                "verdict": confidence.verdict(
                    interval, higher=metric.direction == "higher", margin=metric.margin
                ),
            }
        )
    return found


def _arm(arm: Arm, known: Figures, primary: Metric, p95_ms: float | None) -> dict[str, Any]:
    samples = known.samples
    first = samples.get(primary.name, _NOTHING)
    return {
        "name": arm.name,
        "shadow": arm.shadow,
        "weight": arm.weight,
        "stopped": arm.stopped or None,
        "n": first.count,
        "mean": _mean(first),
        "requests": known.requests,
        "error_rate": _mean(samples["error_rate"]),
        "latency_ms": _mean(samples["latency_ms"]),
        "latency_p95_ms": p95_ms,
        "cost_usd": _mean(samples["cost_usd"]),
        "tokens": _mean(samples["tokens"]),
    }


def _metric(one: Experiment, metric: Metric, known: Mapping[str, Figures]) -> dict[str, Any]:
    return {
        "name": metric.name,
        "kind": metric.kind,
        "direction": metric.direction,
        "margin": metric.margin,
        "arms": [
            {
                "name": arm.name,
                "n": known[arm.name].samples.get(metric.name, _NOTHING).count,
                "values": known[arm.name].times.get(metric.name, 0),
                "mean": _mean(known[arm.name].samples.get(metric.name, _NOTHING)),
            }
            for arm in one.arms
        ],
        "comparisons": comparisons(one, metric, known),
    }


def _figures(arm: str, sums: Sums) -> Figures:
    counted = [row for row in sums.counted if row.arm == arm]
    said = [row for row in sums.told if row.arm == arm]
    samples = {row.metric: _said(row) for row in said} | _counted(counted)
    times = {row.metric: row.times for row in said}
    times |= {name: samples[name].count for name in AUTOMATIC}
    return Figures(sum(row.requests for row in counted), samples, times)


def _said(row: Told) -> Sample:
    return confidence.sample(row.units, row.center, row.total, row.squares)


def _counted(rows: Sequence[Counted]) -> dict[str, Sample]:
    """The rows of one arm differ in the arms of experiments below it; their centers are the same."""
    requests, failed = sum(row.requests for row in rows), sum(row.failed for row in rows)
    if not rows:
        return dict.fromkeys(AUTOMATIC, _NOTHING)
    first = rows[0]
    return {
        "error_rate": confidence.sample(requests, 0.0, failed, failed),
        "latency_ms": confidence.sample(
            sum(row.latency_count for row in rows),
            first.latency_center,
            sum(row.latency_total for row in rows),
            sum(row.latency_squares for row in rows),
        ),
        "cost_usd": confidence.sample(
            sum(row.cost_count for row in rows),
            first.cost_center,
            sum(row.cost_total for row in rows),
            sum(row.cost_squares for row in rows),
        ),
        "tokens": confidence.sample(
            requests,
            first.tokens_center,
            sum(row.tokens_total for row in rows),
            sum(row.tokens_squares for row in rows),
        ),
    }


def _mean(of: Sample) -> float | None:
    return of.mean if of.count else None
