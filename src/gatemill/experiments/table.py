"""The experiments that callers meet, as this process knows them: a snapshot, replaced whole.

Rule: reading it never waits. Only a running experiment splits callers and has outcomes; while it is
paused, and when it has ended, one arm answers everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.policy import experiment as policy
from gatemill.policy.experiment import Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.ledger.experiment_rows import Arm, Experiment


class Table:
    """One for the house; outlives a reload."""

    def __init__(self) -> None:
        # Both replaced by the desk.
        self.splits: tuple[Split, ...] = ()
        self.known: Mapping[str, Experiment] = {}  # by id; those that are no drafts
        self.stopped = 0  # arms that lost their weight, by the desk
        self.outcomes = 0  # that were kept, by the inbox

    def replace(self, served: Sequence[Experiment]) -> None:
        """These are all that are no drafts, the oldest first."""
        self.known = {one.id: one for one in served}
        self.splits = splits(served)


def splits(served: Sequence[Experiment]) -> tuple[Split, ...]:
    """What is served: for each name the experiment that decides now, else the last that ended."""
    found: dict[str, Experiment] = {}
    for one in sorted(served, key=lambda each: each.ended_at or 0.0):
        before = found.get(one.served)
        if before is None or one.state != "concluded" or before.state == "concluded":
            found[one.served] = one
    return tuple(split(one) for one in found.values())


def split(one: Experiment) -> Split:
    """An experiment as the gateway knows it."""
    if one.state == "running":
        arms = tuple(_arm(one, arm) for arm in one.arms if not arm.shadow)
        shadow = next((arm for arm in one.arms if arm.shadow and arm.share > 0), None)
        drawn = policy.Experiment(arms, one.unit, one.salt, one.id)
        if shadow is None:
            return Split(one.served, drawn)
        return Split(one.served, drawn, _arm(one, shadow), shadow.share)
    # Without the id: what one arm answers alone says nothing of the difference.
    alone = _arm(one, answering(one))
    return Split(one.served, policy.Experiment((alone,), one.unit, one.salt))


def answering(one: Experiment) -> Arm:
    """The arm that answers while callers are not split."""
    winner = one.arm(one.winner) if one.state == "concluded" else None
    return one.control if winner is None else winner


def assigned(one: Experiment, unit: str) -> str:
    """The arm that this unit gets. Of a draft, the one that it would."""
    if one.state in ("paused", "concluded"):
        return answering(one).name
    arms = tuple(_arm(one, arm) for arm in one.arms if not arm.shadow)
    return policy.arm(policy.Experiment(arms, one.unit, one.salt), unit).name


def _arm(one: Experiment, arm: Arm) -> policy.Arm:
    model = arm.model or one.served
    return policy.Arm(arm.name, model, arm.weight, arm.prompt, arm.params.encode())
