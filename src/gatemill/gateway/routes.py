"""Every configured name, and what stands behind it.

Rule: everything is computed when configuration loads, except names that only a pattern knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from gatemill.core.call import target_label
from gatemill.core.guard import NOTHING, Uses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.call import Key, Price, Target
    from gatemill.core.limits import Rule
    from gatemill.core.ports import Lane
    from gatemill.policy.complexity import Complexity
    from gatemill.policy.experiment import Arm, Experiment

# Names that reach a provider through a pattern end up in headers, paths and logs.
# A segment of dots would climb out of the path that the provider's URL begins with.
_NAME = re.compile(r"(?!(?:.*/)?\.{1,2}(?:/|$))[\w.:/@+=~-]{1,200}", re.ASCII)
NAMES_MAX = 1024  # names bound through patterns that are remembered; then they are bound anew


class CacheRoute(Struct, frozen=True):
    """Which answers of a model are kept."""

    ttl_s: float  # 0 keeps none
    stale_s: float  # after that, for when every target fails
    scope: str  # "key", "team" or "all"
    entry_bytes: int  # largest answer that is kept
    similar_model: str = ""  # name of an embedding model; "" compares exactly
    similar_min: float = 0.95  # cosine similarity from which a prompt counts as the same


class ShadowRoute(Struct, frozen=True):
    """A copy of some requests to another model, whose answer nobody sees."""

    model: str  # a name of [models]
    share: float  # of the requests, 0 to 1
    concurrency_max: int  # copies under way; beyond it none is sent
    arm: Arm | None = None  # of an experiment: what it changes in the copy
    experiment: str = ""  # its id


class ByFeature(Struct, frozen=True):
    """What is known of the caller leads on."""

    feature: str  # "user.tier"
    models: Mapping[str, str]  # the feature's value as text -> a name of [models]
    default: str  # the name for any other value


class Route(Struct, frozen=True):
    """One configured name."""

    name: str  # a model name, or a pattern with *; also the metric label
    targets: tuple[Target, ...]  # none where an experiment or the complexity leads on
    weights: tuple[float, ...] | None = None  # None: tried in order
    fallbacks: tuple[Target, ...] = ()  # targets of the fallback models, in order
    created: int = 0  # Unix time for GET /v1/models
    owner: str = ""  # provider names, for GET /v1/models
    output_max: int | None = None  # most output tokens that a request may ask for
    strategy: str = "weight"  # or "order", "latency", "cost"
    experiment: Experiment | None = None
    complexity: Complexity | None = None
    by_feature: ByFeature | None = None
    shadow: ShadowRoute | None = None
    rules: tuple[Rule, ...] = ()  # limits of the model as a whole
    cache: CacheRoute | None = None
    stale_last: bool = False  # "cache" stands behind the fallbacks
    guards: Uses = NOTHING  # the model's own
    family: str = ""  # of a name of the registry: what stands before its @ or : ("sentiment")
    # These follow from the rest and are set here, so that requests need not look.
    leads: bool = False  # to another name, by an experiment or the complexity
    is_plain: bool = False  # one target, and nothing to weigh
    has_windows: bool = False  # some target says how long its context is

    def __post_init__(self) -> None:
        leads = any((self.experiment, self.complexity, self.by_feature))
        windows = any(t.context_tokens is not None for t in self.targets + self.fallbacks)
        plain = len(self.targets) == 1 and not (
            self.fallbacks or leads or windows or self.shadow is not None
        )
        force_setattr(self, "leads", leads)
        force_setattr(self, "is_plain", plain)
        force_setattr(self, "has_windows", windows)


class Routes:
    """All configured names."""

    def __init__(
        self,
        routes: Sequence[Route],
        price: Callable[[str, str], Price | None],
        lane: Callable[[str, str], Lane],
    ) -> None:
        """`price` and `lane` are those of (provider, model), for names bound through patterns."""
        self.exact = {route.name: route for route in routes if "*" not in route.name}
        # What the database adds while we serve: names of the registry, and experiments, which may
        # bear the name of any of them. Replaced by `publish`.
        self._leaves: Mapping[str, Route] = self.exact
        self._served: Mapping[str, Route] = self.exact
        patterns = [route for route in routes if "*" in route.name]
        # The longest pattern says most; sorting is stable, so the file's order decides ties.
        self.patterns = sorted(patterns, key=lambda route: -len(route.name))
        self._price = price
        self._lane = lane
        named = (target for route in routes for target in route.targets + route.fallbacks)
        self.labels = frozenset(target.label for target in named if target.model != "*")
        self._bound: dict[str, Route] = {}  # written and read by find; bounded by NAMES_MAX

    def find(self, name: str) -> Route | None:
        """The route of a model name."""
        return self._served.get(name) or self._bound.get(name) or self._pattern(name)

    def publish(self, models: Mapping[str, Route], experiments: Mapping[str, Route]) -> None:
        """These names are served from now on, in place of those published before.

        A name of the configuration file goes before the same one in `models`; an experiment goes
        before both, and its arms find them by `leaf`.
        """
        self._leaves = {**models, **self.exact}
        self._served = {**self._leaves, **experiments}
        self._bound.clear()

    @property
    def served(self) -> Mapping[str, Route]:
        """All exact names: of the configuration, the registry and the experiments."""
        return self._served

    def leaf(self, name: str) -> Route | None:
        """The route of a name that an arm, the complexity or a feature leads to: no experiment's."""
        return self._leaves.get(name) or self._bound.get(name) or self._pattern(name)

    def visible(self, key: Key) -> Mapping[str, Route]:
        """The exact names that `key` may call."""
        return {name: route for name, route in self._served.items() if may_use(key, route)}

    def _pattern(self, name: str) -> Route | None:
        """The route of a name that only a pattern knows, which is remembered."""
        if not _NAME.fullmatch(name):
            return None
        for pattern in self.patterns:
            if fits(name, pattern.name):
                if len(self._bound) >= NAMES_MAX:
                    self._bound.clear()
                route = self._bound[name] = self._bind(pattern, name)
                return route
        return None

    def _bind(self, route: Route, name: str) -> Route:
        prefix = route.name.split("*", 1)[0]
        rest = name.removeprefix(prefix) if prefix.endswith("/") else name
        return replace(route, targets=tuple(self._named(t, rest) for t in route.targets))

    def _named(self, target: Target, name: str) -> Target:
        if target.model != "*":
            return target
        return replace(
            target,
            model=name,
            price=self._price(target.provider, name),
            lane=self._lane(target.provider, name),
            label=target_label(target.provider, name),
        )


def allows(key: Key, model: str) -> bool:
    """Whether the key's scope holds the model."""
    return any(
        scope in ("*", model) or ("*" in scope and fits(model, scope)) for scope in key.models
    )


def may_use(key: Key, route: Route) -> bool:
    """Whether the key's scope holds the route's name, or all versions and aliases of its family."""
    return allows(key, route.name) or (route.family != "" and allows(key, route.family))


def fits(name: str, pattern: str) -> bool:
    """Whether `name` matches; * is the only special character, in scopes as in [models]."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))
