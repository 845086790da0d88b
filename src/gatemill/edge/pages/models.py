"""/ui/models: every name that clients may use, and what stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill import house
from gatemill.core.errors import NotFound
from gatemill.edge.pages import ranges, traffic
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.gateway.routes import fits
from gatemill.ledger.trends import Window, spread

if TYPE_CHECKING:
    from collections import Counter

    from gatemill.core.call import Price, Target
    from gatemill.gateway.routes import Route

NAMES_MAX = 300  # of one page; a filter finds the others
TIMED_MAX = 50  # names of a pattern whose latency is looked up, those most asked for
_DAY = ranges.ALL[2]


async def _listed(visit: Visit) -> Data:
    words = visit.asked.text("q").lower().split()
    routes = visit.gateway.routes
    window = Window.ending(visit.now_s, _DAY.span_s, _DAY.step_s)
    await visit.ledger.flushed()
    used = _by_name(visit, traffic.by(await visit.ledger.trends.usage(window), "model"))
    took = _took(visit, await visit.ledger.trends.targets(window))
    # A single version of the registry is one of many; its name and its aliases stand for it.
    every = [
        route
        for _, route in sorted(routes.served.items())
        if not (route.family and route.name.startswith(f"{route.family}:"))
    ]
    found = [route for route in [*every, *routes.patterns] if _fits(route, words)]
    rows = [
        {**told(route, visit.gateway.now()), **_usage(route.name, used, took)}
        for route in found[:NAMES_MAX]
    ]
    rows.sort(key=lambda one: (-one["requests"], one["name"]))
    return {"models": rows, "more": len(found[NAMES_MAX:]), "query": visit.asked.text("q")}


async def _one(visit: Visit, name: str) -> Data:
    routes = visit.gateway.routes
    chosen, window = ranges.asked(visit, ranges.LONG)
    patterns = {route.name: route for route in routes.patterns}
    route = patterns.get(name) or routes.find(name)
    await visit.ledger.flushed()
    is_pattern = name in patterns
    lines = await visit.ledger.trends.usage(window, "" if is_pattern else name, by_provider=True)
    names = [name]
    if is_pattern:
        lines = [line for line in lines if _place(visit, line.model) == name]
        names = [one["name"] for one in traffic.top_models(lines, TIMED_MAX)] or names
    if route is None and not lines:
        raise NotFound("No model has this name, and none was asked for lately. See /ui/models.")
    latency = (await visit.ledger.trends.latency(window, *names))["latency"]
    whole = traffic.total(lines)
    found = None if route is None else told(route, visit.gateway.now())
    return {
        **ranges.told(chosen, window, ranges.LONG),
        "title": name,
        "name": name,
        "route": found,
        "versions": _versions(visit, name if route is None else route.family or name),
        "defined": _defined(visit, name if route is None else route.name),
        "requests": whole.requests,
        "failed_share": whole.failed_share,
        "hit_share": whole.hit_share,
        "cost_microusd": whole.cost_microusd,
        "unpriced": whole.unpriced,
        "p50_ms": latency.whole.p50_ms,
        "p95_ms": latency.whole.p95_ms,
        "providers": [
            {"name": provider or "cache", **_shares(each)}
            for provider, each in sorted(traffic.by(lines, "provider").items())
        ],
        "charts": {
            "requests": traffic.counts(lines, window),
            "latency": traffic.durations(latency, window),
            "tokens": traffic.tokens(lines, window),
            "cost": traffic.by_model(lines, window, "cost_microusd"),
        },
    }


def told(route: Route, now_s: float) -> Data:
    """What a route is made of. A price is in micro-dollars per million tokens."""
    weights = route.weights or (None,) * len(route.targets)
    cache = route.cache
    return {
        "name": route.name,
        "kind": _kind(route),
        "strategy": route.strategy,
        "targets": [
            {**_target(each, now_s), "weight": weight}
            for each, weight in zip(route.targets, weights, strict=True)
        ],
        "fallbacks": [_target(each, now_s) for each in route.fallbacks],
        "stale_last": route.stale_last,
        "output_max": route.output_max,
        "cache": None
        if cache is None
        else {
            "ttl_s": cache.ttl_s,
            "scope": cache.scope,
            "similar": cache.similar_min if cache.similar_model else None,
        },
        "arms": _arms(route),
        "shadow": route.shadow.model if route.shadow is not None else None,
        "guards": sorted({use.name for use in (*route.guards.input, *route.guards.output)}),
    }


def _kind(route: Route) -> str:
    if "*" in route.name:
        return "pattern"
    if route.family:
        return "registry"
    return "leads on" if route.leads else "configured"


def _arms(route: Route) -> list[str]:
    """The names that it leads to, where it has no targets of its own."""
    found: list[str] = []
    if route.experiment is not None:
        found += [f"{arm.name}: {arm.model}" for arm in route.experiment.arms]
    if route.by_feature is not None:
        found += [f"{value}: {model}" for value, model in sorted(route.by_feature.models.items())]
        found.append(f"otherwise: {route.by_feature.default}")
    return found


def _target(target: Target, now_s: float) -> Data:
    return {
        "label": target.label,
        "provider": target.provider,
        "version": target.version,
        "context_tokens": target.context_tokens,
        "price": _price(target.price),
        "ready": target.lane.is_ready(now_s),
    }


def _price(price: Price | None) -> Data | None:
    # Pico-dollars per token are micro-dollars per million tokens.
    if price is None:
        return None
    return {"input": price.input, "output": price.output, "cache_read": price.cache_read}


def _fits(route: Route, words: list[str]) -> bool:
    text = " ".join((route.name, *(each.label for each in route.targets))).lower()
    return all(word in text for word in words)


def _place(visit: Visit, name: str) -> str:
    """The row that a name which was asked for belongs to: itself, or the pattern that knows it."""
    routes = visit.gateway.routes
    if name in routes.served:
        return name
    return next((one.name for one in routes.patterns if fits(name, one.name)), name)


def _by_name(visit: Visit, used: dict[str, traffic.Sum]) -> dict[str, traffic.Sum]:
    found: dict[str, traffic.Sum] = {}
    for name, each in used.items():
        found.setdefault(_place(visit, name), traffic.Sum()).merge(each)
    return found


def _took(
    visit: Visit, times: dict[tuple[str, str], Counter[int]]
) -> dict[str, list[Counter[int]]]:
    found: dict[str, list[Counter[int]]] = {}
    for (name, _), each in times.items():
        found.setdefault(_place(visit, name), []).append(each)
    return found


def _usage(
    name: str, used: dict[str, traffic.Sum], took: dict[str, list[Counter[int]]]
) -> dict[str, Any]:
    whole = used.get(name) or traffic.Sum()
    return {
        "requests": whole.requests,
        "failed_share": whole.failed_share,
        "cost_microusd": whole.cost_microusd,
        "unpriced": whole.unpriced,
        "p95_ms": spread(took.get(name, [])).p95_ms,
    }


def _shares(each: traffic.Sum) -> dict[str, Any]:
    return {
        "attempts": each.attempts,
        "failed_share": each.attempts_failed_share,
        "cost_microusd": each.cost_microusd,
        "unpriced": each.unpriced,
    }


def _versions(visit: Visit, name: str) -> Data | None:
    """What the registry knows of a name."""
    reloader = visit.shown.reloader
    entry = None if reloader is None else reloader.home.lasting.table.entries.get(name)
    if entry is None:
        return None
    aliases: dict[int, list[str]] = {}
    for alias, each in sorted(entry.aliases.items()):
        aliases.setdefault(each.version, []).append(alias)
    return {
        "name": name,
        "task": entry.model.task,
        "description": entry.model.description,
        "current": entry.number(),
        "versions": [
            {"number": number, "source": base.source, "aliases": aliases.get(number, [])}
            for number, base in sorted(entry.versions.items(), reverse=True)
        ],
    }


def _defined(visit: Visit, name: str) -> Data | None:
    """Where the configuration file says it, and in which words."""
    reloader = visit.shown.reloader
    if reloader is None:
        return None
    return house.passage(reloader.draft, ("models", name))


LIST = Page("/ui/models", "Models", "models.html", _listed, asks=("q",))
ONE = Page("/ui/models/{name:rest}", "Model", "model.html", _one, asks=ranges.ASKS, hidden=True)
