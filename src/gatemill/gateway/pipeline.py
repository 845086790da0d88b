"""The way of a request: bytes in, a reply out. The stages stand here in the order they run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.call import Call, Reply
from gatemill.core.errors import ClientGone, GatemillError, InternalError
from gatemill.gateway import inspect, redact
from gatemill.gateway.admit import admit
from gatemill.gateway.idempotency import SPENDING
from gatemill.gateway.identify import identify
from gatemill.gateway.judging import Marks, header, told
from gatemill.gateway.plan import decision, plan
from gatemill.gateway.prepare import fill, learn
from gatemill.gateway.settle import refused, settle
from gatemill.observe.trace import trace_of
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
        key = identify(gateway.keys, caller.secret, gateway.clock.unix_s(), "inference")
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
        error.headers += _headers(call)
        raise
    except asyncio.CancelledError:
        failure = ClientGone("The caller hung up.")
        raise
    finally:
        if gateway.recorder is not None and caller.is_recorded and _may_be_kept(gateway, call):
            gateway.recorder.take(call, reply, failure)
        # Here, so that a fault of our own leaves the gate too; the door turns it into an answer.
        if reply is None:
            _finish(gateway, call, caller, failure or _fault(call, gateway.now()))
        failure = None  # its traceback holds this frame, and with it the body
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
    guards = gateway.guards.policy(call.key, chosen.route, chosen.leaf)
    marks = None
    if guards is not None and guards.input is not None:
        # Most requests hold nothing, and most answers: a glance says so, without a coroutine.
        seen = inspect.glance(guards.input, call)
        if seen is not False:
            marks = await inspect.inspect(
                gateway, surface, call, chosen, guards.input, is_suspect=seen is True
            )
    call.is_inspected = True
    if chosen.shadow is not None:
        gateway.shadows.begin(gateway, surface, call, chosen.shadow)
    if chosen.route.cache is None:
        reply = await attempt(chosen.targets, surface, call, gateway.tries)
    else:
        reply = await gateway.recall.answer(
            chosen.route,
            call,
            cache_control.parse(caller.cache_control),
            answers_of(chosen),
            lambda: attempt(chosen.targets, surface, call, gateway.tries),
        )
    if guards is None:
        return reply
    seen = redact.glance(guards.output, marks, reply)
    if seen is False:
        return reply
    marks = marks or Marks()
    return await redact.redact(
        gateway.guards, call, guards.output, marks, reply, is_suspect=seen is True
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
    trace = None
    if caller.traceparent or gateway.tracer is not None:
        trace = trace_of(gateway.tracer, caller.traceparent)
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
        trace=trace,
    )


def _headers(call: Call) -> bytes:
    """What a refusal says of what had been done until then."""
    said = header(call.verdicts)
    if call.trace is not None:
        said += b"x-gatemill-trace-id: %b\r\n" % call.trace.id.encode()
    return said


def _may_be_kept(gateway: Gateway, call: Call) -> bool:
    """Guards have seen it; what failed before they could is kept only where there are none."""
    assert call.key is not None
    return call.is_inspected or gateway.guards.is_idle(call.key)


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
    if error is not None and call.verdicts:
        redact.blame(call, error)
    cost = _finish(gateway, call, caller, error)
    said = {
        "cost_microusd": cost,
        "request_id": call.id,
        "model": call.attempts[-1].target.label if call.attempts else call.head.model,
        "attempts": len(call.attempts),
    }
    if call.verdicts:
        said["guards"] = told(call.verdicts)
    return b": gatemill %b\n\n" % msgspec.json.encode(said)
