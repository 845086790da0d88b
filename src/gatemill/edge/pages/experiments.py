"""/ui/experiments: which arm is better, and how sure one may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.edge.admin.bodies import Asked
from gatemill.edge.experiments.told import Window, event, experiment
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.edge.pages.requests import key_name
from gatemill.ledger.experiment_rows import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 50
_DIGITS = 9  # of a mean: what is left of sums of equal numbers says nothing
EVENTS = 50
_EXPERIMENTS = "/ui/experiments"

# Of the figures that are counted without anybody sending them.
_UNITS = {"latency_ms": "ms", "tokens": "tokens"}
# In words; one that callers send has the name that they gave it.
_NAMES = {
    "error_rate": "the error rate",
    "latency_ms": "the latency",
    "cost_usd": "the cost of a request",
    "tokens": "the number of tokens",
}


async def _list(visit: Visit) -> Data:
    asked = visit.asked
    state = _word(asked)
    desk = Window(visit.shown).desk
    found = await desk.listed(state, LIMIT + 1, asked.text("after"))
    return {
        "asked": {"state": state},
        "states": list(STATES),
        "experiments": [_summary(experiment(one)) for one in found[:LIMIT]],
        "older": found[LIMIT - 1].id if len(found) > LIMIT else None,
        "is_first": not asked.text("after"),
    }


def _word(asked: Asked) -> str:
    return asked.word("state", "", *STATES) if asked.text("state") else ""


def _summary(said: Mapping[str, Any]) -> Data:
    names = ("id", "name", "model", "state", "unit", "description", "winner", "feedback")
    times = ("created_at", "started_at", "ended_at")
    arms = [
        {name: arm.get(name) for name in ("name", "shadow", "weight", "share", "stopped")}
        for arm in said["arms"]
    ]
    return {name: said[name] for name in (*names, *times)} | {"arms": arms}


async def _one(visit: Visit, experiment_id: str) -> Data:
    desk = Window(visit.shown).desk
    one = await desk.get(experiment_id)
    said = experiment(one)
    results = await desk.results(one.id)
    events = await desk.events(one.id, EVENTS, None)
    return {
        "title": f"Experiment {one.name}",
        "experiment": _summary(said) | {"guardrails": said["guardrails"]},
        "answers": [
            {"name": arm.name, "model": arm.model or one.served, "prompt": arm.prompt}
            for arm in one.arms
        ],
        "arms": [arm | {"cost_microusd": _microusd(arm["cost_usd"])} for arm in results["arms"]],
        "metrics": [_metric(metric, results["metric"]) for metric in results["metrics"]],
        "since": results["since"],
        "until": results["until"],
        "events": [event(each) | {"by": key_name(visit, each.actor)} for each in events],
    }


def _metric(metric: Mapping[str, Any], primary: str) -> Data:
    binary = metric["kind"] == "binary"
    return {
        "name": metric["name"],
        "called": _NAMES.get(metric["name"], metric["name"]).removeprefix("the "),
        "is_primary": metric["name"] == primary,
        "direction": metric["direction"],
        "margin": metric["margin"],
        "kind": "percent" if binary else "short",
        "unit": _UNITS.get(metric["name"], ""),
        "arms": [
            arm | {"mean": None if arm["mean"] is None else round(arm["mean"], _DIGITS)}
            for arm in metric["arms"]
        ],
        "comparisons": [
            {**each, "verdict": _verdict(each, metric)} for each in metric["comparisons"]
        ],
        "intervals": [
            {
                "name": f"{each['a']} - {each['b']}",
                "low": each["low"],
                "value": each["diff"],
                "high": each["high"],
            }
            for each in metric["comparisons"]
            if each["diff"] is not None
        ],
    }


def _microusd(usd: float | None) -> int | None:
    return None if usd is None else round(usd * 1e6)


def _verdict(each: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    """What may be said now, in words."""
    a, b = each["a"], each["b"]
    if each["verdict"] in ("a_better", "b_better"):
        better, other = (a, b) if each["verdict"] == "a_better" else (b, a)
        what = _NAMES.get(metric["name"], metric["name"])
        return f"{better} is better than {other}: {what} is {metric['direction']}."
    if each["verdict"] == "equivalent":
        return f"{a} and {b} do not differ by {metric['margin']:g} or more."
    if each["diff"] is None:
        return f"{a} and {b}: too few outcomes yet to say anything."
    return f"{a} and {b}: no difference can be told yet, for the interval holds 0. Go on."


PAGE = Page(_EXPERIMENTS, "Experiments", "experiments.html", _list, ("state", "after"))
DETAIL = Page(
    f"{_EXPERIMENTS}/{{experiment_id}}", "Experiment", "experiment.html", _one, hidden=True
)
