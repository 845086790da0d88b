"""The way of a request: bytes in, a reply out. The stages stand here in the order they run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.call import Call, Reply
from gatemill.core.errors import ClientGone, GatemillError, InternalError
from gatemill.gateway.admit import admit
from gatemill.gateway.idempotency import SPENDING
from gatemill.gateway.identify import identify
from gatemill.gateway.plan import decision, plan
from gatemill.gateway.prepare import fill, learn
from gatemill.gateway.settle import refused, settle
from gatemill.upstream.attempt import attempt
from gatemill.wire import cache_control
from gatemill.wire.body import check, check_depth

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.ports import Surface
    from gatemill.gateway.parts import Caller, Gateway
    from gatemill.gateway.plan import Plan


async def answer(
    gateway: Gateway, operation: str, body: bytes, caller: Caller, call_id: str
) -> Reply:
    """The reply to one request; a stream settles itself when it ends.

    Raises GatemillError; by then the failure has been counted, logged and, if a provider was asked,
    written to the ledger.
    """
    surface = gateway.surfaces[operation]
    try:
        key = identify(gateway.keys, caller.secret, gateway.clock.unix_s())
        call = read(gateway, surface, body, caller, call_id, key)
        gateway.gate.enter()
    except GatemillError as error:
        refused(gateway, operation, caller, call_id, error)
        raise
    reply: Reply | None = None
    failure: GatemillError | None = None
    try:
        if caller.idempotency_key and operation in SPENDING:
            reply = await _once(gateway, surface, call, caller)
        else:
            reply = await _planned(gateway, surface, call, caller)
    except GatemillError as error:
        failure = error
        raise
    except asyncio.CancelledError:
        failure = ClientGone("The caller hung up.")
        raise
    finally:
        if gateway.recorder is not None and caller.is_recorded:
            gateway.recorder.take(call, reply, failure)
        # Here, so that a fault of our own leaves the gate too; the door turns it into an answer.
        if reply is None:
            _finish(gateway, call, caller, failure or _fault(call, gateway.now()))
    if reply.stream is not None:
        reply.stream.on_end(lambda error: _tail(gateway, call, caller, error))
    else:
        reply.cost_microusd = _finish(gateway, call, caller, None)
    return reply


async def _planned(gateway: Gateway, surface: Surface, call: Call, caller: Caller) -> Reply:
    now_s = gateway.now()
    assert call.key is not None
    if call.head.entities or call.head.features:
        await learn(gateway, call)
    chosen = plan(gateway.routes, call.key, call, now_s)
    call.label = chosen.route.name
    if chosen.considered:
        call.version, call.reason = chosen.version, chosen.reason
        call.decision = decision(chosen)
    if chosen.version or call.head.prompt or call.head.entities:
        fill(gateway, surface, call, chosen)
    await admit(gateway.admission, call, chosen, now_s)
    if chosen.shadow is not None:
        gateway.shadows.begin(gateway, surface, call, chosen.shadow)
    if chosen.route.cache is None:
        return await attempt(chosen.targets, surface, call, gateway.tries)
    return await gateway.recall.answer(
        chosen.route,
        call,
        cache_control.parse(caller.cache_control),
        answers_of(chosen),
        lambda: attempt(chosen.targets, surface, call, gateway.tries),
    )


async def _once(gateway: Gateway, surface: Surface, call: Call, caller: Caller) -> Reply:
    reply, call.replayed = await gateway.idempotency.answer(
        call, caller.idempotency_key, lambda: _planned(gateway, surface, call, caller)
    )
    return reply


def read(
    gateway: Gateway, surface: Surface, body: bytes, caller: Caller, call_id: str, key: Key
) -> Call:
    """The call inside a body. Raises InvalidRequest and its kinds."""
    check(body)
    head = surface.head(body)
    check_depth(body, gateway.json_depth_max)
    patience_s = gateway.request_timeout_s
    if caller.timeout_s is not None:
        patience_s = min(patience_s, caller.timeout_s)
    return Call(
        id=call_id,
        operation=surface.NAME,
        body=body,
        head=head,
        started_s=caller.started_s,
        deadline_s=caller.started_s + patience_s,
        arrived_at=gateway.clock.unix_s() - (gateway.now() - caller.started_s),
        key=key,
        headers=caller.headers,
        user=head.user or caller.user,
        conversation=caller.conversation,
        seed=caller.client_request_id or call_id,
        job_id=caller.job_id,
    )


def answers_of(chosen: Plan) -> str:
    """What decides an answer besides the question: who may give it."""
    return " ".join(
        sorted(
            f"{target.label}@{target.settings.base_url} {target.version}"
            for target in chosen.targets
        )
    )


def _fault(call: Call, now_s: float) -> InternalError:
    """The failure for a bug on the way; the attempt in which it happened ends with it."""
    error = InternalError("This is our fault, not yours. Report the request id.")
    if call.attempts and not call.attempts[-1].error:
        last = call.attempts[-1]
        last.status, last.error = error.status, error.code
        last.ended_s = last.ended_s or now_s
    return error


def _finish(
    gateway: Gateway, call: Call, caller: Caller, error: GatemillError | None
) -> int | None:
    gateway.gate.leave()
    return settle(gateway, call, caller, error)


def _tail(gateway: Gateway, call: Call, caller: Caller, error: GatemillError | None) -> bytes:
    """Settles a stream. The last bytes are a comment, which every client of SSE skips."""
    cost = _finish(gateway, call, caller, error)
    said = {
        "cost_microusd": cost,
        "request_id": call.id,
        "model": call.attempts[-1].target.label if call.attempts else call.head.model,
        "attempts": len(call.attempts),
    }
    return b": gatemill %b\n\n" % msgspec.json.encode(said)
