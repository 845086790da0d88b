"""What would become of a request, and what became of one.

Rule: the same stages as a real request, with nothing sent, nothing consumed and nothing written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.call import Usage
from gatemill.core.errors import GatemillError
from gatemill.core.limits import Hold, Refusal
from gatemill.core.money import dollars, microusd
from gatemill.gateway import standing
from gatemill.gateway.admit import error_of
from gatemill.gateway.identify import identify
from gatemill.gateway.pipeline import answers_of, read
from gatemill.gateway.plan import plan
from gatemill.policy import reserve, tokens
from gatemill.policy.price import cost_pico
from gatemill.wire import cache_control, fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call, Key, Target, UsageRow
    from gatemill.core.ports import Json
    from gatemill.gateway.parts import Caller, Gateway
    from gatemill.gateway.plan import Plan

_PATHS = {"messages": "chat", "prompt": "completions", "input": "responses"}


def operation_of(body: bytes) -> str:
    """The operation that a body was most likely written for: by its fields, chat when in doubt."""
    found = fields.decode_object(body)
    return next((name for field, name in _PATHS.items() if field in found), "chat")


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
        "key": _key(key),
    }
    try:
        call = read(gateway, gateway.surfaces[operation], body, caller, call_id, key)
        said["model"] = call.head.model
        chosen = plan(gateway.routes, key, call, gateway.now())
        said |= _route(chosen, gateway.now())
        said |= await _limits(gateway, key, call, chosen)
        said["cache"] = await _cache(gateway, call, chosen, caller)
    except GatemillError as error:
        return said | {"outcome": _refused(error)}
    refused = said.pop("refused", None)
    cached = said["cache"]
    recalled = cached["state"] == "fresh" and cached["reads"]
    said["outcome"] = refused or {"status": 200, "from": "cache" if recalled else "provider"}
    return said


def _key(key: Key) -> Json:
    return {"id": key.id, "name": key.name, "user": key.user_id, "team": key.team_id}


def _refused(error: GatemillError) -> Json:
    return {
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "retry_after_s": error.retry_after_s,
    }


def _route(chosen: Plan, now_s: float) -> Json:
    first = chosen.targets[0]
    return {
        "route": chosen.route.name,
        "target": first.label,
        "version": chosen.version,
        "reason": chosen.reason,
        "candidates": [msgspec.to_builtins(each) for each in chosen.considered]
        or [{"target": first.label}],
        "targets": [_target(target, now_s) for target in chosen.targets],
        "complexity": msgspec.to_builtins(chosen.complexity),
        "shadow": chosen.shadow.model if chosen.shadow else None,
        "guards": [],
    }


def _target(target: Target, now_s: float) -> Json:
    return {
        "target": target.label,
        "ready": target.lane.is_ready(now_s),
        "share": target.lane.share(now_s),
        "opens_in_s": target.lane.opens_s(now_s),
        "expected_wait_s": target.lane.load_s(now_s),
    }


async def _limits(gateway: Gateway, key: Key, call: Call, chosen: Plan) -> Json:
    admission = gateway.admission
    bundle = admission.bundle(key, chosen.route)
    wanted = admission.wanted(bundle, call, chosen)
    output = admission.output_most(call, chosen)
    prompt = tokens.estimate_prompt(fields.decode_object(call.body))
    prompt_most = admission.prompt_most(call.body)
    said: Json = {
        "tokens": {"prompt": prompt, "prompt_most": prompt_most, "output_most": output},
        "cost": _cost(chosen.targets, prompt, prompt_most, output),
        "limits": [],
    }
    if not bundle.rules:
        return said
    answer = await admission.limiter.peek(wanted)
    levels = await admission.limiter.levels(bundle.rules, wanted.unix_s)
    said["limits"] = [
        {
            "scope": level.rule.scope,
            "id": level.rule.scope_id,
            "limit": standing.name_of(level.rule),
            "most": level.rule.most,
            "used": level.used,
            "held": level.held,
            "left": max(0, level.rule.most - level.used - level.held),
        }
        for level in levels
    ]
    if isinstance(answer, Refusal):
        said["refused"] = _refused(error_of(answer))
    else:
        assert isinstance(answer, Hold)
    return said


def _cost(targets: Sequence[Target], prompt: int, prompt_most: int, output: int) -> Json:
    """The range over all targets, in dollars; None where a price is unknown."""
    prices = [target.price for target in targets]
    if any(price is None for price in prices):
        return {"least": None, "expected": None, "most": None}
    known = [price for price in prices if price is not None]
    expected = Usage(input=prompt, output=min(output, max(1, output // 4)))
    return {
        "least": dollars(0 if not known else min(microusd(price.request) for price in known)),
        "expected": dollars(microusd(cost_pico(known[0], expected))),
        "most": dollars(max(reserve.worst_microusd(price, prompt_most, output) for price in known)),
    }


async def _cache(gateway: Gateway, call: Call, chosen: Plan, caller: Caller) -> Json:
    if chosen.route.cache is None:
        return {"state": "off"}
    control = cache_control.parse(caller.cache_control)
    digest, state = await gateway.recall.state(chosen.route, call, answers_of(chosen))
    return {"key": digest, "state": state, "reads": control.reads, "keeps": not control.no_store}


# --- A request of the past -----------------------------------------------------------------------


def past(rows: Sequence[UsageRow]) -> Json:
    """What the ledger knows of one request; `rows` are its attempts, in any order, at least one."""
    attempts = sorted(rows, key=lambda row: row.attempt)
    last = attempts[-1]
    decision: dict[str, Any] = msgspec.json.decode(last.decision) if last.decision else {}
    costs = [row.cost_microusd for row in attempts]
    total = None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs)
    return {
        "object": "explanation",
        "request_id": last.request_id,
        "at": last.at,
        "operation": last.operation,
        "key": {"id": last.key_id, "user": last.user_id, "team": last.team_id},
        "model": last.model,
        "stream": last.stream,
        "cache": {"state": last.cache or "miss"},
        "target": f"{last.provider}/{last.target_model}" if last.provider else "",
        "version": last.version,
        "reason": decision.get("reason", "only target"),
        "candidates": decision.get("candidates", []),
        "complexity": decision.get("complexity"),
        "attempts": [_attempt(row) for row in attempts],
        "cost": dollars(total) if total is not None else None,
        "outcome": {"status": last.status, "code": last.error or None},
    }


def _attempt(row: UsageRow) -> Json:
    return {
        "attempt": row.attempt,
        "target": f"{row.provider}/{row.target_model}" if row.provider else "",
        "status": row.status,
        "error": row.error or None,
        "latency_ms": row.latency_ms,
        "first_token_ms": row.first_token_ms,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "estimated": row.estimated,
        "cost": None if row.cost_microusd is None else dollars(row.cost_microusd),
        "unsettled": row.unsettled,
    }
