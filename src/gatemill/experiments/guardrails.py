"""Whether an arm does what no arm may. Rule: pure; what there is too little of says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from gatemill.experiments.results import Figures
    from gatemill.ledger.experiment_rows import Arm, Experiment, Guardrail

_SAMPLES = {"error_rate": "error_rate", "cost_usd_mean": "cost_usd"}


def watched(one: Experiment) -> list[Arm]:
    """The arms that get requests."""
    return [arm for arm in one.arms if (arm.share > 0 if arm.shadow else arm.weight > 0)]


def since_s(one: Experiment, rail: Guardrail, arm: Arm, now_s: float) -> float:
    """From when requests of an arm are looked at: what was before it was let on again is forgiven."""
    return max(now_s - rail.window_s, one.started_at or 0.0, arm.since)


def breach(rail: Guardrail, known: Figures, p95_ms: float | None) -> str:
    """What an arm does that it may not; "" for nothing."""
    if rail.metric == "latency_p95_ms":
        count, found = known.samples["latency_ms"].count, p95_ms
    else:
        sample = known.samples[_SAMPLES[rail.metric]]
        count, found = sample.count, sample.mean
    if count < rail.min_requests or found is None or found <= rail.max:
        return ""
    return f"{rail.metric} is {found:.6g} over {count} requests; at most {rail.max:.6g} is allowed"


def stopped(one: Experiment, name: str, why: str) -> Experiment:
    """Without this arm; the same where it is the last that answers, or gets nothing anyway."""
    arm = one.arm(name)
    if one.state != "running" or arm is None or arm not in watched(one):
        return one
    if not arm.shadow and sum(each.weight > 0 for each in one.arms) == 1:
        return one
    change = {"share": 0.0} if arm.shadow else {"weight": 0.0}
    new = replace(arm, **change, stopped=why)
    return replace(one, arms=tuple(new if each.name == name else each for each in one.arms))
