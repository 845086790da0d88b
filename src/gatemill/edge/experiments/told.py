"""Experiments as they are told, and the desk that knows them. Rule: an experiment is told in one form everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.edge.jobs.counter import Counter

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.edge.shown import Shown
    from gatemill.experiments.desk import Desk
    from gatemill.ledger.experiment_rows import Arm, Event, Experiment

PATH = "/v1/experiments"
ONE = PATH + "/{experiment_id}"


class Window:
    """What these routes share."""

    def __init__(self, shown: Shown) -> None:
        self.clerk = Clerk(shown)
        self.counter = Counter(self.clerk, shown)
        self._shown = shown

    @property
    def desk(self) -> Desk:
        """The one that decides now. Raises UnsupportedOperation."""
        return desk_of(self._shown.door).services.rooms.experiments


def experiment(one: Experiment) -> Json:
    """An experiment."""
    return {
        "object": "experiment",
        "id": one.id,
        "name": one.name,
        "model": one.served,
        "state": one.state,
        "unit": one.unit,
        "description": one.description,
        "arms": [_arm(arm, one) for arm in one.arms],
        "metric": _plain(one.metrics[0]),
        "metrics": [_plain(metric) for metric in one.metrics[1:]],
        "guardrails": [_plain(rail) for rail in one.guardrails],
        "winner": one.winner or None,
        "version": one.version,
        "feedback": one.feedback,
        "created_at": _seconds(one.created_at),
        "started_at": _seconds(one.started_at),
        "ended_at": _seconds(one.ended_at),
    }


def event(what: Event) -> Json:
    """A change."""
    return {
        "object": "experiment.event",
        "version": what.version,
        "at": _seconds(what.at),
        "actor": what.actor,
        "action": what.action,
        "reason": what.reason or None,
        "detail": what.detail,
    }


def _arm(arm: Arm, one: Experiment) -> Json:
    said: Json = {
        "name": arm.name,
        "model": arm.model or one.served,
        "prompt": arm.prompt or None,
        "params": Raw(arm.params.encode() or b"{}"),
        "stopped": arm.stopped or None,
    }
    if arm.shadow:
        return {**said, "shadow": True, "share": arm.share}
    return {**said, "shadow": False, "weight": arm.weight}


def _plain(what: Any) -> Json:
    return msgspec.structs.asdict(what)


def _seconds(unix_s: float | None) -> float | None:
    return None if unix_s is None else round(unix_s, 3)
