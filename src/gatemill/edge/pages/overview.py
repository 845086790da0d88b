"""/ui: how things are, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.edge.pages import health, ranges, traffic
from gatemill.edge.pages.frame import HOME, Data, Page, Visit
from gatemill.ledger import rollups
from gatemill.ledger.trends import Window
from gatemill.policy.incidents import CRITICAL, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.trends import Latency

RECENT_S = 120  # what "now" means: a whole minute at least, and all workers
INCIDENTS_MAX = 20
LAMPS_MAX = 12


async def _data(visit: Visit) -> Data:
    chosen, window = ranges.asked(visit)
    ledger = visit.ledger
    await ledger.flushed()
    lines = await ledger.trends.usage(window)
    latency = await ledger.trends.latency(window)
    whole = traffic.total(lines)
    targets = health.targets(visit)
    return {
        **ranges.told(chosen, window),
        "tiles": [
            *window_tiles(whole, latency),
            *await tiles_now(ledger, visit.now_s, visit.gateway.meter.in_flight),
        ],
        "charts": {
            "requests": traffic.counts(lines, window),
            "latency": traffic.durations(latency["latency"], window),
            "first_token": traffic.durations(latency["first_token"], window),
            "tokens": traffic.tokens(lines, window),
            "models": traffic.by_model(lines, window, "requests"),
            "cost": traffic.by_model(lines, window, "cost_microusd"),
        },
        "targets": targets[:LAMPS_MAX],
        "targets_more": len(targets[LAMPS_MAX:]),
        "models": traffic.top_models(lines),
        "keys": await _keys(ledger, window),
        "jobs": await _jobs(ledger),
        "alerts": await _alerts(ledger),
    }


def tile(name: str, label: str, value: Any, kind: str, hint: str = "") -> dict[str, Any]:
    """A number with its name; `kind` says how it is written, as for charts."""
    return {"name": name, "label": label, "value": value, "kind": kind, "hint": hint, "tone": ""}


def money(name: str, label: str, whole: traffic.Sum, when: str) -> dict[str, Any]:
    """What has been spent, as far as prices are known."""
    hint = f"{when}. A + says that the price of some attempts is not known"
    return {**tile(name, label, whole.cost_microusd, "usd", hint), "unpriced": whole.unpriced}


def window_tiles(whole: traffic.Sum, latency: Mapping[str, Latency]) -> list[dict[str, Any]]:
    """Those of the span that was chosen."""
    done, first = latency["latency"].whole, latency["first_token"].whole
    failed = tile("failed", "Failed", whole.failed_share, "percent")
    failed["hint"] = f"{whole.failed} requests of which no attempt succeeded"
    failed["tone"] = "bad" if whole.failed else ""
    return [
        tile("requests", "Requests", whole.requests, "short"),
        failed,
        tile("p50", "Latency p50", done.p50_ms, "duration", "Attempts that succeeded, to the end"),
        tile("p95", "Latency p95", done.p95_ms, "duration", "Attempts that succeeded, to the end"),
        tile("first_p50", "First token p50", first.p50_ms, "duration", "To the first byte"),
        tile("first_p95", "First token p95", first.p95_ms, "duration", "To the first byte"),
        tile("hits", "From the cache", whole.hit_share, "percent", "Requests no provider answered"),
        money("cost", "Cost", whole, "In this span"),
    ]


async def tiles_now(ledger: Ledger, now_s: float, in_flight: int) -> list[dict[str, Any]]:
    """Those of this moment."""
    recent = Window.ending(now_s, RECENT_S, rollups.MINUTE_S)
    whole = traffic.total(await ledger.trends.usage(recent))
    hour_s = rollups.HOUR_S
    today = Window(rollups.midnight_s(now_s), int(now_s // hour_s + 1) * hour_s, hour_s)
    spent = traffic.total(await ledger.trends.usage(today))
    seconds = max(1.0, now_s - recent.since_s)
    return [
        money("today", "Cost today", spent, "Since midnight, UTC"),
        tile("speed", "Requests/s", whole.requests / seconds, "short", "Over the last two minutes"),
        tile(
            "tokens",
            "Tokens/s",
            whole.generated_tokens / seconds,
            "short",
            "Generated, over the last two minutes",
        ),
        tile("in_flight", "In flight", in_flight, "number", "Requests under way in this process"),
    ]


async def _keys(ledger: Ledger, window: Window) -> list[dict[str, Any]]:
    found = []
    for one in await ledger.trends.spenders(window):
        key = ledger.keys.by_id(one.key_id)
        found.append(
            {
                "id": one.key_id,
                "name": key.name if key is not None else one.key_id,
                "requests": one.requests,
                "cost_microusd": one.cost_microusd,
                "unpriced": one.unpriced,
            }
        )
    return found


async def _jobs(ledger: Ledger) -> dict[str, Any]:
    depths = await ledger.jobs.depths()
    waiting = [each for each in depths if each.state == "queued"]
    return {
        "waiting": sum(each.jobs for each in waiting),
        "running": sum(each.jobs for each in depths if each.state == "running"),
        "oldest_s": max((each.oldest_s for each in waiting), default=None),
    }


async def _alerts(ledger: Ledger) -> list[dict[str, Any]]:
    """What is open, the critical first."""
    found = await ledger.incidents.listed(INCIDENTS_MAX, "open")
    found.sort(key=lambda one: one.severity != CRITICAL)
    return [
        {
            "name": one.name,
            "subject": one.subject,
            "severity": one.severity,
            "summary": RULES[one.name].summary if one.name in RULES else "",
            "since": one.since_s,
        }
        for one in found
    ]


PAGE = Page(HOME, "Overview", "overview.html", _data, asks=ranges.ASKS)
