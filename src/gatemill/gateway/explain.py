"""What would become of a request, and what became of one.

Rule: the same stages as a real request, with nothing sent, nothing consumed and nothing written. What
only the event can tell (a provider's failure, an equal request under way, a text that means the same,
an Idempotency-Key) is not said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.call import Usage
from gatemill.core.errors import CacheMiss, CircuitOpen, GatemillError
from gatemill.core.limits import Kind, Refusal
from gatemill.core.money import microusd
from gatemill.gateway import standing
from gatemill.gateway.admit import error_of, may_pass
from gatemill.gateway.foreseeing import foresee
from gatemill.gateway.identify import identify
from gatemill.gateway.pipeline import answers_of, read
from gatemill.gateway.plan import plan
from gatemill.gateway.prepare import fill, learn
from gatemill.policy import reserve, tokens
from gatemill.policy.price import cost_pico
from gatemill.upstream.attempt import outgoing
from gatemill.upstream.lane import Lane
from gatemill.wire import cache_control, fields
from gatemill.wire.body import check
from gatemill.wire.cache_control import ANYTHING
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call, Target, UsageRow
    from gatemill.core.limits import Level
    from gatemill.core.ports import Json, Surface
    from gatemill.gateway.parts import Caller, Gateway
    from gatemill.gateway.plan import Plan
    from gatemill.wire.cache_control import CacheControl

# By a field that the format must have, or that no other has; the first one found decides.
_OPERATIONS = {"messages": "chat", "prompt": "completions", "documents": "rerank"}
_OPERATIONS |= {"top_k": "predict", "truncate": "predict"}
_OPERATIONS |= {"input": "responses", "text": "inference"}


def operation_of(body: bytes) -> str:
    """The operation that a body was most likely written for: by its fields, chat when in doubt."""
    try:
        check(body)
        found = fields.shallow(body)
    except (GatemillError, msgspec.DecodeError, RecursionError):
        return "chat"
    return next((name for field, name in _OPERATIONS.items() if field in found), "chat")


async def explain(
    gateway: Gateway, operation: str, body: bytes, caller: Caller, call_id: str
) -> Json:
    """What the gateway would do with this request now.

    Raises InvalidApiKey; every other refusal is part of the answer.
    """
    key = identify(gateway.keys, caller.secret, gateway.clock.unix_s())
    said: Json = {
        "object": "explanation",
        "request_id": call_id,
        "seed": caller.client_request_id or call_id,
        "config": gateway.version,
        "operation": operation,
        "key": {"id": key.id, "name": key.name, "user_id": key.user_id, "team_id": key.team_id},
    }
    try:
        surface = gateway.surfaces[operation]
        call = read(gateway, surface, body, caller, call_id, key)
        said["model"] = call.head.model
        now_s = gateway.now()
        await learn(gateway, call, keep=False)
        chosen = plan(gateway.routes, key, call, now_s)
        call.version = chosen.version
        fill(gateway, surface, call, chosen)
        said |= _route(chosen, now_s)
        said |= _said(prompt_version=call.prompt)
        await foresee(gateway, call, chosen, said)
        said["cache"] = cache = await _cache(gateway, call, chosen, caller)
        said |= await _limits(gateway, call, chosen)
        if "outcome" not in said:
            control = _control(chosen, caller)
            said["outcome"] = _outcome(cache, control, call, chosen, (surface, now_s))
        if said["outcome"].get("from") == "cache":
            said["cost_usd"] = {"least": usd(0), "expected": usd(0), "most": usd(0)}
    except GatemillError as error:
        said["outcome"] = _refused(error)
    return said


# --- Where it would go ---------------------------------------------------------------------------


def _route(chosen: Plan, now_s: float) -> Json:
    first = chosen.targets[0]
    considered = [msgspec.to_builtins(each) for each in chosen.considered]
    return {
        "route": chosen.route.name,
        "leads_to": chosen.model or None,
        "target": first.label,
        **_said(model_version=first.version),
        "version": chosen.version,
        **_said(experiment=chosen.experiment),
        "reason": chosen.reason,
        "candidates": considered or [{"target": first.label}],
        "targets": [_target(target, now_s) for target in chosen.targets],
        "complexity": msgspec.to_builtins(chosen.complexity),
        "shadow": chosen.shadow.model if chosen.shadow else None,
    }


def _target(target: Target, now_s: float) -> Json:
    return {
        "target": target.label,
        "ready": target.lane.is_ready(now_s),
        "share": target.lane.share(now_s),
        "opens_in_s": target.lane.opens_s(now_s),
        "expected_wait_s": target.lane.load_s(now_s),
    }


def _goes_to(targets: Sequence[Target], now_s: float) -> Target:
    """The target that would be asked first. Raises CircuitOpen."""
    for target in targets:
        if target.lane.is_ready(now_s):
            return target
    left = [
        target
        for target in targets
        if isinstance(target.lane, Lane) and target.lane.settings.last_target == "try"
    ]
    if left:
        return min(left, key=lambda target: target.lane.opens_s(now_s))
    raise CircuitOpen(
        "Every target of this model failed lately and is left alone. Retry later.",
        retry_after_s=min(target.lane.opens_s(now_s) for target in targets),
    )


# --- What it would cost, and whether it may --------------------------------------------------------


async def _limits(gateway: Gateway, call: Call, chosen: Plan) -> Json:
    """Tokens, money and limits; an outcome where they refuse. Raises PriceUnknown."""
    admission = gateway.admission
    assert call.key is not None
    bundle = admission.bundle(call.key, chosen.route)
    output = admission.output_most(call, chosen)
    prompt = tokens.estimate_prompt(fields.read_object(call.body))
    prompt_most = admission.prompt_most(call.body)
    call.output_cap = admission.output_cap(bundle, call, chosen)
    is_bounded = not output or call.output_cap is not None or call.head.output_max is not None
    said: Json = {
        "tokens": {
            "prompt": prompt,
            "prompt_most": prompt_most,
            "output_most": output if is_bounded else None,
            "output_reserved": output,
        },
        "cost_usd": _cost(chosen.targets, prompt, prompt_most, output, is_bounded=is_bounded),
        "limits": [],
    }
    if not bundle.rules:
        return said
    wanted = admission.wanted(bundle, call, chosen)
    answer = await admission.limiter.peek(wanted)
    levels = await admission.limiter.levels(bundle.rules, wanted.unix_s)
    said["limits"] = [_level(level) for level in levels if not level.rule.is_gone]
    if isinstance(answer, Refusal):
        said["outcome"] = {**_refused(error_of(answer)), "waits_first": may_pass(answer)}
    return said


def _level(level: Level) -> Json:
    rule = level.rule
    left = max(0, rule.most - level.used - level.held)
    amounts: Json = {"most": rule.most, "used": level.used, "held": level.held, "left": left}
    if rule.kind is Kind.BUDGET:
        amounts = {f"{name}_usd": usd(amount) for name, amount in amounts.items()}
    return {
        "scope": rule.scope,
        "id": rule.scope_id,
        "limit": standing.name_of(rule),
        "hard": rule.hard,
        **amounts,
    }


def _cost(
    targets: Sequence[Target], prompt: int, prompt_most: int, output: int, *, is_bounded: bool
) -> Json:
    """The range over all targets for one attempt that succeeds; None where nobody knows."""
    expected = Usage(input=prompt, output=max(1, output // 4) if output else 0)
    first = targets[0].price
    prices = [target.price for target in targets if target.price is not None]
    is_known = len(prices) == len(targets)
    said: Json = {"least": None, "expected": None, "most": None}
    if first is not None:
        said["expected"] = usd(microusd(cost_pico(first, expected)))
    if is_known:
        said["least"] = usd(min(microusd(price.request) for price in prices))
    if is_known and is_bounded:
        worst = [reserve.worst_microusd(price, prompt_most, output) for price in prices]
        said["most"] = usd(max(worst))
    return said


# --- Whether it is answered already ----------------------------------------------------------------


def _control(chosen: Plan, caller: Caller) -> CacheControl:
    """What the caller allows; a model without a cache does not look. Raises HeaderInvalid."""
    return ANYTHING if chosen.route.cache is None else cache_control.parse(caller.cache_control)


async def _cache(gateway: Gateway, call: Call, chosen: Plan, caller: Caller) -> Json:
    """The key, and what is kept there: "off", "never", "absent", "fresh" or "stale"."""
    if chosen.route.cache is None:
        return {"state": "off"}
    digest, state, age_s = await gateway.recall.state(chosen.route, call, answers_of(chosen))
    return {"state": state, "key": digest or None, "age_s": age_s}


def _outcome(
    cache: Json, control: CacheControl, call: Call, chosen: Plan, where: tuple[Surface, float]
) -> Json:
    """What an admitted request gets, as far as it depends on us. Raises what it would fail with."""
    surface, now_s = where
    state, age_s, most_s = cache["state"], cache.get("age_s"), control.max_age_s
    is_young = most_s is None or (age_s is not None and age_s <= most_s)
    # Who says no-store goes past the cache, in both directions.
    is_asked = state not in ("off", "never") and not control.no_store
    if is_asked and control.reads and state == "fresh" and is_young:
        return {"status": 200, "code": None, "from": "cache", "cache": "hit"}
    if state != "off" and control.only_if_cached:
        raise CacheMiss("There is no kept answer. Ask without `Cache-Control: only-if-cached`.")
    try:
        target = _goes_to(chosen.targets, now_s)
        outgoing(target, surface, call, ())
    except GatemillError as error:
        is_kept = is_asked and control.reads and state in ("fresh", "stale")
        if not (is_kept and error.falls_back and chosen.route.stale_last):
            raise
        return {"status": 200, "code": None, "from": "cache", "cache": "stale"}
    return {
        "status": 200,
        "code": None,
        "from": "provider",
        "target": target.label,
        "cache": "miss" if is_asked else None,
        "unsupported": list(call.reported),
    }


def _refused(error: GatemillError) -> Json:
    return {
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "retry_after_s": error.retry_after_s,
    }


# --- A request of the past -----------------------------------------------------------------------


def past(rows: Sequence[UsageRow]) -> Json:
    """What the ledger knows of one request; `rows` are its attempts, in any order, at least one."""
    attempts = sorted(rows, key=lambda row: row.attempt)
    last = attempts[-1]
    decision: dict[str, Any] = msgspec.json.decode(last.decision) if last.decision else {}
    costs = [row.cost_microusd for row in attempts]
    total = None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs)
    target = _label(last)
    return {
        "object": "explanation",
        "request_id": last.request_id,
        "at": last.at,
        "operation": last.operation,
        "key": {"id": last.key_id, "user_id": last.user_id, "team_id": last.team_id},
        "model": last.model,
        "leads_to": decision.get("model"),
        "stream": last.stream,
        "cache": last.cache or None,
        "target": target,
        "version": last.version,
        **_said(
            experiment=last.experiment_id,
            model_version=last.model_version,
            prompt_version=last.prompt_version,
        ),
        "reason": decision.get("reason") or ("only target" if target else ""),
        "candidates": decision.get("candidates") or ([{"target": target}] if target else []),
        "complexity": decision.get("complexity"),
        "shadow": decision.get("shadow"),
        "findings": decision.get("guards", []),
        "attempts": [_attempt(row) for row in attempts],
        "cost_usd": None if total is None else usd(total),
        "outcome": {"status": last.status, "code": last.error or None},
    }


def _said(**values: str) -> Json:
    """Those that there are."""
    return {name: value for name, value in values.items() if value}


def _attempt(row: UsageRow) -> Json:
    return {
        "attempt": row.attempt,
        "target": _label(row),
        "status": row.status,
        "code": row.error or None,
        "latency_ms": row.latency_ms,
        "first_token_ms": row.first_token_ms,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "estimated": row.estimated,
        "cost_usd": None if row.cost_microusd is None else usd(row.cost_microusd),
        "unsettled": row.unsettled,
    }


def _label(row: UsageRow) -> str:
    """Empty for an answer that no provider was asked for."""
    return f"{row.provider}/{row.target_model}" if row.provider else ""
