"""Experiments on a terminal. Rule: what the API says, in fewer words; nothing is asked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.cli.terminal import print_table, print_text
from gatemill.wire.moments import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.cli.jobs_shown import Table

Json = dict[str, Any]


def table(found: Sequence[Json]) -> Table:
    """The rows of `experiments ls`."""
    rows = [
        (
            one["name"],
            one["state"],
            one["model"],
            " ".join(arm["name"] for arm in one["arms"]),
            one["metric"]["name"],
            str(one["feedback"]),
        )
        for one in found
    ]
    return ("NAME", "STATE", "MODEL", "ARMS", "METRIC", "OUTCOMES"), rows


def events(found: Sequence[Json]) -> Table:
    """The rows of `experiments events`."""
    rows = [(iso(one["at"]), one["action"], one["actor"], one["reason"] or "-") for one in found]
    return ("AT", "WHAT", "WHO", "WHY"), rows


def results(said: Json) -> None:
    """Arms, then what may be said of them."""
    metric = said["metric"]
    columns = ("ARM", "REQUESTS", "ERRORS", "P95 MS", "$ EACH", "N", metric.upper())
    rows = [
        (
            arm["name"] + (" (shadow)" if arm["shadow"] else ""),
            str(arm["requests"]),
            _number(arm["error_rate"], "{:.1%}"),
            _number(arm["latency_p95_ms"], "{:.1f}"),
            _number(arm["cost_usd"], "{:.6f}"),
            str(arm["n"]),
            _number(arm["mean"], "{:.4g}"),
        )
        for arm in said["arms"]
    ]
    print_table(columns, rows)
    for arm in said["arms"]:
        if arm["stopped"]:
            print_text(f"{arm['name']} was stopped: {arm['stopped']}.")
    for each in said["comparisons"]:
        print_text(_words(each, metric))


def _words(said: Json, metric: str) -> str:
    a, b = said["a"], said["b"]
    if said["diff"] is None:
        return f"{a} and {b}: too few values to say anything; go on."
    between = (
        f"{metric} of {a} minus {b} is {said['diff']:+.4g},"
        f" surely between {said['low']:+.4g} and {said['high']:+.4g}"
    )
    verdict = {
        "a_better": f"{a} is better than {b}",
        "b_better": f"{b} is better than {a}",
        "equivalent": f"{a} and {b} are equal, within the margin",
        "continue": f"{a} and {b}: nothing can be said yet, go on",
    }[said["verdict"]]
    return f"{verdict}: {between}."


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
