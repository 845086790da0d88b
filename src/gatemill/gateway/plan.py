"""Stage 5: model name -> targets, in the order in which they will be tried.

Rule: everything is computed when configuration loads, except names that only a pattern knows.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gatemill.core.call import target_label
from gatemill.core.errors import InvalidValue, ModelNotFound
from gatemill.policy import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatemill.core.call import Call, Key, Price, Target

# Names that reach a provider through a pattern end up in headers, paths and logs.
# A segment of dots would climb out of the path that the provider's URL begins with.
_NAME = re.compile(r"(?!(?:.*/)?\.{1,2}(?:/|$))[\w.:/@+=~-]{1,200}", re.ASCII)
NAMES_MAX = 1024  # names bound through patterns that are remembered; then they are bound anew


class Route(Struct, frozen=True):
    """One configured name."""

    name: str  # a model name, or a pattern with *; also the metric label
    targets: tuple[Target, ...]
    weights: tuple[float, ...] | None = None  # None: tried in order
    fallbacks: tuple[Target, ...] = ()  # targets of the fallback models, in order
    created: int = 0  # Unix time for GET /v1/models
    owner: str = ""  # provider names, for GET /v1/models
    output_max: int | None = None  # most output tokens that a request may ask for


class Routes:
    """All configured names."""

    def __init__(self, routes: Sequence[Route], price: Callable[[str, str], Price | None]) -> None:
        """`price` gives the price of (provider, model) for names bound through patterns."""
        self.exact = {route.name: route for route in routes if "*" not in route.name}
        patterns = [route for route in routes if "*" in route.name]
        # The longest pattern says most; sorting is stable, so the file's order decides ties.
        self.patterns = sorted(patterns, key=lambda route: -len(route.name))
        self._price = price
        self._bound: dict[str, Route] = {}  # written and read by find; bounded by NAMES_MAX

    def find(self, name: str) -> Route | None:
        """The route of a model name."""
        route = self.exact.get(name) or self._bound.get(name)
        if route is not None:
            return route
        if not _NAME.fullmatch(name):
            return None
        for pattern in self.patterns:
            if _fits(name, pattern.name):
                if len(self._bound) >= NAMES_MAX:
                    self._bound.clear()
                route = self._bound[name] = self._bind(pattern, name)
                return route
        return None

    def visible(self, key: Key) -> Mapping[str, Route]:
        """The exact names that `key` may call."""
        return {name: route for name, route in self.exact.items() if allows(key, name)}

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
            label=target_label(target.provider, name),
        )


def allows(key: Key, model: str) -> bool:
    """Whether the key's scope holds the model."""
    return any(
        scope in ("*", model) or ("*" in scope and _fits(model, scope)) for scope in key.models
    )


def _fits(name: str, pattern: str) -> bool:
    """Whether `name` matches; * is the only special character, in scopes as in [models]."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def plan(routes: Routes, key: Key, call: Call) -> tuple[Route, Sequence[Target]]:
    """The route and the targets to try, best first. Raises ModelNotFound."""
    name = call.head.model
    route = routes.find(name)
    if route is None or not (key.models == ("*",) or allows(key, name)):
        raise ModelNotFound(
            f"The model `{name[:200]}` does not exist or this key may not use it."
            " GET /v1/models lists the names.",
            param="model",
        )
    asked, allowed = call.head.output_max, route.output_max
    if asked is not None and allowed is not None and asked > allowed:
        raise InvalidValue(
            f"`max_tokens`: this model gives at most {allowed} output tokens.", param="max_tokens"
        )
    targets = route.targets
    if route.weights is not None:
        targets = choose.ordered(targets, route.weights, choose.unit(call.id))
    return route, targets + route.fallbacks if route.fallbacks else targets
