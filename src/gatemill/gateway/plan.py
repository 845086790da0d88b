"""Stage 3: model name -> targets, in the order in which they will be tried, and why.

Rule: a pure function of the configuration, the key, the call and the state of the lanes. The seed
of every choice is the call's, never the time.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.call import Usage
from gatemill.core.errors import ContextLengthExceeded, InvalidValue, ModelNotFound
from gatemill.core.money import PICO_PER_MICRO
from gatemill.gateway.routes import (
    NAMES_MAX,
    ByFeature,
    CacheRoute,
    Route,
    Routes,
    ShadowRoute,
    allows,
)
from gatemill.policy import choose, complexity, context, experiment
from gatemill.policy.complexity import Reading
from gatemill.policy.experiment import Arm
from gatemill.policy.price import cost_pico
from gatemill.policy.tokens import estimate_prompt
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Call, Key, Target
    from gatemill.core.ports import Json

__all__ = (
    "NAMES_MAX",
    "ByFeature",
    "CacheRoute",
    "Considered",
    "Plan",
    "Route",
    "Routes",
    "ShadowRoute",
    "allows",
    "decision",
    "plan",
)

_NO_OUTPUT = frozenset(
    ("embeddings", "count_tokens", "predict", "predict_text", "rerank", "moderations")
)
_EVERYTHING = ("*",)


class Considered(Struct, frozen=True, omit_defaults=True):
    """One target that was weighed."""

    target: str  # its label
    # By the plan's reason: "weight" its weight, "latency" seconds, "cost" micro-dollars. None where
    # nothing was computed, or the price is not known.
    score: float | None = None
    note: str = ""  # "ejected", "context too small", "fallback"


class Plan(Struct, frozen=True, gc=False):
    """What will be tried, and why."""

    route: Route  # the one that was asked for: metric label, limits, cache
    targets: tuple[Target, ...]  # best first, then the fallbacks
    version: str = ""  # the experiment's arm
    reason: str = ""  # a few words: "only target", "arm v2, weight", "hard"
    considered: tuple[Considered, ...] = ()
    model: str = ""  # whose targets these are, where an arm or the complexity led on
    leaf: Route | None = None  # the route of that name
    complexity: Reading | None = None
    shadow: ShadowRoute | None = None  # a copy of this call goes there
    experiment: str = ""  # id of the experiment that chose the arm, where outcomes are kept
    arm: Arm | None = None  # what it changes in the request


class _Decision(Struct, omit_defaults=True):
    """What of a plan is kept with the request."""

    reason: str
    candidates: tuple[Considered, ...]
    version: str = ""
    model: str = ""
    complexity: Reading | None = None
    shadow: str = ""


class _Candidate(Struct, eq=False):
    """One target while it is weighed."""

    target: Target
    weight: float = 1.0
    score: float | None = None
    note: str = ""


class _Body:
    """What has to be read of a body, once and only where it decides something."""

    __slots__ = ("_json", "_prompt_tokens", "call")

    def __init__(self, call: Call) -> None:
        self.call = call
        self._json: Json | None = None
        self._prompt_tokens = -1

    def json(self) -> Json:
        if self._json is None:
            self._json = fields.read_object(self.call.body)
        return self._json

    def prompt_tokens(self) -> int:
        if self._prompt_tokens < 0:
            self._prompt_tokens = estimate_prompt(self.json())
        return self._prompt_tokens

    def output_max(self) -> int | None:
        """The answer's limit; None where the caller names none."""
        call = self.call
        return 0 if call.operation in _NO_OUTPUT else call.head.output_max


class _Way(Struct):
    """From the name that was asked for to the one whose targets answer."""

    leaf: Route
    versions: str = ""
    experiment: str = ""
    arm: Arm | None = None  # the last one that has something to change
    reasons: str = ""
    reading: Reading | None = None


_encode = msgspec.json.Encoder().encode


def plan(routes: Routes, key: Key, call: Call, now_s: float, *, below: bool = False) -> Plan:
    """The targets to try, best first; `below`: whatever experiment of the database bears the name.

    Raises ModelNotFound, InvalidValue for more output than the model gives, ContextLengthExceeded.
    """
    head = call.head
    name = head.model
    route = routes.leaf(name) if below else routes.find(name)
    if route is None or not (key.models == _EVERYTHING or _may_use(key, name, route)):
        raise ModelNotFound(
            f"The model `{name[:200]}` does not exist or this key may not use it."
            " GET /v1/models lists the names.",
            param="model",
        )
    asked, allowed = head.output_max, route.output_max
    if asked is not None and allowed is not None and asked > allowed:
        raise InvalidValue(
            f"`max_tokens`: this model gives at most {allowed} output tokens.", param="max_tokens"
        )
    if route.is_plain:
        return Plan(route, route.targets, "", "only target")
    return _plan_for(routes, route, key, call, now_s)


def _may_use(key: Key, name: str, route: Route) -> bool:
    """A scope that holds a name of the registry holds its versions and aliases, too."""
    return allows(key, name) or (route.family != "" and allows(key, route.family))


def _plan_for(routes: Routes, route: Route, key: Key, call: Call, now_s: float) -> Plan:
    """The plan for a route with something to weigh. Raises ContextLengthExceeded."""
    body = _Body(call)
    seed = call.seed or call.id
    way = _way(routes, route, key, body)
    leaf = way.leaf
    own = [_Candidate(t) for t in leaf.targets]
    if leaf.weights is not None:
        for candidate, weight in zip(own, leaf.weights, strict=True):
            candidate.weight = weight
    further = _further(leaf, route)
    skipped: list[_Candidate] = []
    if leaf.has_windows or route.has_windows:
        own, further, skipped = _within(own, further, body)
    ejected = _unready(own, now_s) + _unready(further, now_s)
    reason = way.reasons
    if len(leaf.targets) > 1:
        # A model that leads on and says no strategy of its own leaves it to the one it leads to.
        strategy = leaf.strategy if route.strategy == "weight" else route.strategy
        own, how = _ordered(strategy, leaf, own, body, now_s)
        reason = f"{reason}, {how}" if reason else how
    final = own + further + ejected
    shadow = route.shadow
    if shadow is not None and choose.unit(f"{seed}\0shadow") >= shadow.share:
        shadow = None
    return Plan(
        route=route,
        targets=tuple(c.target for c in final),
        version=way.versions,
        reason=reason or "only target",
        considered=tuple(Considered(c.target.label, c.score, c.note) for c in final + skipped),
        model="" if leaf is route else leaf.name,
        leaf=None if leaf is route else leaf,
        complexity=way.reading,
        shadow=shadow,
        experiment=way.experiment,
        arm=way.arm,
    )


def decision(plan: Plan) -> str:
    """What was weighed, as compact JSON; "" when there was nothing to weigh."""
    told = any(one.note not in ("", "fallback") for one in plan.considered)
    if len(plan.route.targets) == 1 and not told and plan.shadow is None:
        return ""
    return _encode(
        _Decision(
            reason=plan.reason,
            candidates=plan.considered,
            version=plan.version,
            model=plan.model,
            complexity=plan.complexity,
            shadow=plan.shadow.model if plan.shadow else "",
        )
    ).decode()


def _way(routes: Routes, route: Route, key: Key, body: _Body) -> _Way:
    """Follows arms and complexity. Only the name that was asked for needs to be in the key's scope."""
    way = _Way(route)
    leaf = route
    # It ends: settings/model_checks.py refuses circles, and an arm never leads to an experiment of
    # the database.
    while leaf.leads:
        if leaf.experiment is not None:
            unit = experiment.who(leaf.experiment, key.id, body.call)
            chosen = experiment.arm(leaf.experiment, unit)
            way.versions = f"{way.versions}/{chosen.name}" if way.versions else chosen.name
            way.experiment = way.experiment or leaf.experiment.id
            if chosen.prompt or chosen.params:
                way.arm = chosen
            name, said = chosen.model, f"arm {chosen.name}"
        elif leaf.by_feature is not None:
            name, said = _by_feature(leaf.by_feature, body.call.facts)
        else:
            assert leaf.complexity is not None
            way.reading = complexity.read(body.json())
            is_hard = way.reading.score >= leaf.complexity.threshold
            name = leaf.complexity.hard if is_hard else leaf.complexity.simple
            said = "hard" if is_hard else "simple"
        way.reasons = f"{way.reasons}, {said}" if way.reasons else said
        way.leaf = leaf = _leaf(routes, name)
    return way


def _by_feature(rule: ByFeature, facts: Mapping[str, Any] | None) -> tuple[str, str]:
    """The name that a feature leads to, and why."""
    value = (facts or {}).get(rule.feature)
    if value is None:
        return rule.default, f"{rule.feature} unknown"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else _encode(value).decode()
    return rule.models.get(text, rule.default), f"{rule.feature} {text}"


def _leaf(routes: Routes, name: str) -> Route:
    found = routes.leaf(name)
    if found is None:
        raise ModelNotFound(
            f"The model leads on to `{name[:200]}`, which does not exist any more. Tell whoever runs"
            " this server.",
            param="model",
        )
    return found


def _further(leaf: Route, route: Route) -> list[_Candidate]:
    """Fallbacks of the model whose targets answer, then those of the one that was asked for."""
    found = leaf.fallbacks
    if leaf is not route and route.fallbacks:
        tried = {target.label for target in leaf.targets + found}
        found += tuple(target for target in route.fallbacks if target.label not in tried)
    return [_Candidate(target, note="fallback") for target in found]


def _within(
    own: list[_Candidate], further: list[_Candidate], body: _Body
) -> tuple[list[_Candidate], list[_Candidate], list[_Candidate]]:
    """Those that the request fits, and those it does not. Where it fits none, the largest stay."""
    tokens, output = body.prompt_tokens(), body.output_max()
    every = own + further
    windows = [c.target.context_tokens for c in every]
    if all(context.is_hopeless(window, tokens) for window in windows):
        raise ContextLengthExceeded(
            f"The prompt has about {tokens} tokens, and the longest context of"
            f" `{body.call.head.model[:200]}` is {max(filter(None, windows))}."
            " Send less, or choose a model with a longer context."
        )
    kept = {c for c in every if context.fits(c.target.context_tokens, tokens, output)}
    if not kept:
        largest = max(filter(None, windows))
        kept = {c for c in every if c.target.context_tokens == largest}
    skipped = [c for c in every if c not in kept]
    for candidate in skipped:
        candidate.note = "context too small"
    return [c for c in own if c in kept], [c for c in further if c in kept], skipped


def _unready(candidates: list[_Candidate], now_s: float) -> list[_Candidate]:
    """Takes those out whose lane lets nothing through now."""
    out = [c for c in candidates if not c.target.lane.is_ready(now_s)]
    for candidate in out:
        candidate.note = "ejected"
        candidates.remove(candidate)
    return out


def _ordered(
    strategy: str, leaf: Route, own: list[_Candidate], body: _Body, now_s: float
) -> tuple[list[_Candidate], str]:
    """Best first, and the word for it."""
    if strategy == "cost":
        for candidate in own:
            candidate.score = _cost_microusd(candidate.target, body)
        return sorted(own, key=_by_cost), "cost"
    if strategy == "order" or (strategy == "weight" and leaf.weights is None):
        return own, "order"
    shares = [c.target.lane.share(now_s) for c in own]
    weights = [c.weight * share for c, share in zip(own, shares, strict=True)]
    if strategy == "latency":
        for candidate, share in zip(own, shares, strict=True):
            # One that has just come back counts as busier than it is.
            load_s = candidate.target.lane.load_s(now_s)
            candidate.score = load_s / share if share > 0 else inf
    else:
        for candidate, weight in zip(own, weights, strict=True):
            candidate.score = weight
    drawn = choose.ordered(own, weights, choose.unit(body.call.seed or body.call.id))
    if strategy != "latency":
        return drawn, "weight"
    return choose.soonest(drawn, [c.score or 0.0 for c in drawn]), "latency"


def _cost_microusd(target: Target, body: _Body) -> float | None:
    """What the request may cost there, by estimate; None when the price is not known."""
    if target.price is None:
        return None
    output = body.output_max()
    answer = context.OUTPUT_GUESS if output is None else output
    usage = Usage(input=body.prompt_tokens(), output=answer * body.call.head.choices)
    return cost_pico(target.price, usage) / PICO_PER_MICRO


def _by_cost(candidate: _Candidate) -> float:
    return inf if candidate.score is None else candidate.score
