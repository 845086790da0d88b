"""Experiments for tests."""

from __future__ import annotations

from typing import Any

from gatemill.ledger.experiment_rows import Arm, Experiment, Guardrail, Metric
from gatemill.ledger.outcomes import Counted, Told

ONE, TWO = Arm("one", 1.0, "a"), Arm("two", 1.0, "b")
DARK = Arm("dark", 0.0, "b", shadow=True)


def experiment(*arms: Arm, number: int = 1, **more: Any) -> Experiment:
    said: dict[str, Any] = {
        "id": f"exp_{number}",
        "name": f"e{number}",
        "model": "m",
        "unit": "user",
        "salt": "s",
        "description": "",
        "state": "running",
        "arms": arms or (ONE, TWO),
        "metrics": (Metric("thumbs", "binary"),),
        "guardrails": (Guardrail("error_rate", 0.1, 10),),
        "winner": "",
        "version": 1,
        "feedback": 0,
        "created_at": 1.0,
        "created_by": "k",
        "started_at": 100.0,
        "ended_at": None,
    }
    return Experiment(**{**said, **more})


def counted(version: str, requests: int, failed: int = 0, latency_ms: float = 10.0) -> Counted:
    """Requests of one arm; those that succeeded took one millisecond more or less."""
    good = requests - failed
    return Counted(
        version=version,
        requests=requests,
        failed=failed,
        latency_center=latency_ms,
        latency_count=good,
        latency_total=0.0,
        latency_squares=float(good),
        cost_center=0.0,
        cost_count=requests,
        cost_total=0.002 * requests,
        cost_squares=0.000004 * requests,
        tokens_center=3.0,
        tokens_total=0.0,
        tokens_squares=0.0,
    )


def told(arm: str, units: int, mean: float, metric: str = "thumbs") -> Told:
    """Zeros and ones."""
    ones = round(units * mean)
    return Told(metric, arm, units, units, 0.0, float(ones), float(ones))
