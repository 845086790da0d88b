"""Models of the settings -> routes.

Rule: everything a request would have to compute about a model is computed here, once.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.call import Price
from gatemill.core.guard import NOTHING, layered
from gatemill.core.limits import rules
from gatemill.gateway.routes import ByFeature, CacheRoute, Route, Routes, ShadowRoute
from gatemill.house.guards import uses_of
from gatemill.house.limits import limits_of
from gatemill.policy.complexity import Complexity
from gatemill.policy.experiment import Arm, Experiment
from gatemill.policy.price import per_token_pico
from gatemill.policy.price_table import PriceBook, PriceTable
from gatemill.settings.vendors import vendors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from gatemill.core.call import Target
    from gatemill.core.clock import Clock
    from gatemill.core.guard import Uses
    from gatemill.house.providers import Maker
    from gatemill.settings.model import Model, Settings
    from gatemill.settings.routing import Cache

_FREE = Price(0, 0, 0, 0, 0, 0, 0, source="built in")
_CACHE = "cache"  # as the last fallback: an answer that is no longer fresh


def price_book(settings: Settings) -> PriceBook:
    """The shipped prices under those of the configuration."""
    table = PriceTable(files("gatemill").joinpath("data", "prices.json").read_bytes())
    own = {name: rates.model_dump(exclude_none=True) for name, rates in settings.prices.items()}
    return PriceBook(table, own)


class Prices:
    """What a model of a provider costs under these settings."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._book = price_book(settings)
        self._clock = clock
        ceiling = settings.reserve.unknown_price
        self._ceiling = None if ceiling == "refuse" else _ceiling(ceiling)

    def of(self, provider: str, model: str) -> Price | None:
        """The price, the configured ceiling where it is not known, or None."""
        vendor = vendors()[self._settings.providers[provider].kind]
        if vendor.dialect in ("echo", "local"):
            return _FREE
        known = self._book.price(provider, vendor.prices, model, self._clock.unix_s())
        return self._ceiling if known is None else known


def routes_of(settings: Settings, makers: Mapping[str, Maker], prices: Prices) -> Routes:
    """All models, and `provider/*` for each provider where that is wanted."""
    routes = [_route(settings, name, makers) for name in settings.models]
    if settings.server.direct_models:
        cache, limits = cache_of(settings.cache), ()
        routes += [
            Route(name=f"{name}/*", targets=(make("*"),), owner=name, cache=cache, rules=limits)
            for name, make in makers.items()
            if f"{name}/*" not in settings.models
        ]
    return Routes(routes, prices.of, lambda provider, model: makers[provider].lane(model))


def _route(settings: Settings, name: str, makers: Mapping[str, Maker]) -> Route:
    model = settings.models[name]
    own = _targets(model, makers)
    names = [other for other in model.fallbacks if other != _CACHE]
    more = [target for other in names for target in _leaves(settings, other, makers)]
    leaves = own or _leaves(settings, name, makers)
    return Route(
        name=name,
        targets=own,
        weights=tuple(float(t.weight) for t in model.targets) if len(own) > 1 else None,
        fallbacks=_further(own, more),
        owner=", ".join(dict.fromkeys(target.provider for target in leaves)),
        output_max=model.output_max,
        strategy=model.strategy,
        experiment=_experiment(name, model),
        complexity=_complexity(model),
        by_feature=_by_feature(model),
        shadow=_shadow(model),
        rules=rules("model", name, limits_of(model.limits)),
        cache=cache_of(model.cache or settings.cache),
        stale_last=_CACHE in model.fallbacks,
        guards=_guards(settings, name),
    )


def _targets(model: Model, makers: Mapping[str, Maker]) -> tuple[Target, ...]:
    return tuple(
        makers[target.provider](target.model, target.context_tokens) for target in model.targets
    )


def _leaves(settings: Settings, name: str, makers: Mapping[str, Maker]) -> tuple[Target, ...]:
    """Every target that a request for `name` may reach without its fallbacks, in order."""
    model = settings.models[name]
    further = [arm.model for arm in model.experiment.arms.values()] if model.experiment else []
    if model.complexity:
        further += [model.complexity.simple, model.complexity.hard]
    if model.by_feature:
        further += [*model.by_feature.models.values(), model.by_feature.default]
    found = list(_targets(model, makers))
    for other in further:  # settings/checks.py refuses circles
        found += _leaves(settings, other, makers)
    return tuple({target.label: target for target in found}.values())


def _guards(settings: Settings, name: str) -> Uses:
    """The guards of a model, and those of every model that may get its requests besides.

    Guard by guard its own go first, then those of the first fallback: nothing passes, because a
    provider was away, what must not pass to the one that is asked then.
    """
    model = settings.models[name]
    others = [other for other in model.fallbacks if other != _CACHE]
    if model.shadow is not None:
        others.append(model.shadow.model)
    found = NOTHING
    for other in (*reversed(others), name):
        found = layered(found, uses_of(settings.models[other].guards))
    return found


def _experiment(name: str, model: Model) -> Experiment | None:
    said = model.experiment
    if said is None:
        return None
    arms = tuple(
        Arm(
            arm,
            one.model,
            float(one.weight),
            one.prompt,
            msgspec.json.encode(one.params) if one.params else b"",
        )
        for arm, one in said.arms.items()
    )
    return Experiment(arms, said.by, said.salt or name)


def _complexity(model: Model) -> Complexity | None:
    said = model.complexity
    return None if said is None else Complexity(said.simple, said.hard, said.threshold)


def _by_feature(model: Model) -> ByFeature | None:
    said = model.by_feature
    return None if said is None else ByFeature(said.feature, said.models, said.default)


def _shadow(model: Model) -> ShadowRoute | None:
    said = model.shadow
    return None if said is None else ShadowRoute(said.model, said.share, said.concurrency_max)


def cache_of(cache: Cache) -> CacheRoute | None:
    """Which answers are kept; None for none."""
    if not cache.ttl_s:
        return None
    return CacheRoute(
        ttl_s=cache.ttl_s,
        stale_s=cache.stale_s,
        scope=cache.scope,
        entry_bytes=cache.entry_bytes,
        similar_model=cache.similar_model or "",
        similar_min=cache.similar_min,
    )


def _ceiling(usd_per_mtok: Decimal) -> Price:
    pico = per_token_pico(usd_per_mtok, "reserve.unknown_price")
    return Price(pico, pico, pico, pico, pico, pico, pico, source="reserve.unknown_price")


def _further(first: tuple[Target, ...], more: Sequence[Target]) -> tuple[Target, ...]:
    """Those of `more` that are not tried anyway; each once."""
    tried = {target.label for target in first}
    return tuple({t.label: t for t in more if t.label not in tried}.values())
