"""The guards where no model is asked: questions to documents, documents, arguments of jobs, what is found.

Rule: the same guards of the same scopes. What is put back for models stays as it is here: these texts
go to our own database, and on to a model only through the stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.call import Call, Head
from gatemill.core.guard import Uses
from gatemill.gateway.inspect import inspected
from gatemill.gateway.judging import Judge, Marks
from gatemill.gateway.redact import redacted
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.ports import Json
    from gatemill.gateway.guards import Side
    from gatemill.gateway.parts import Gateway


async def check(gateway: Gateway, key: Key, operation: str, body: bytes) -> None:
    """Nothing in this body is blocked on the input of this key, or of the model that it names.

    Raises ContentBlocked and GuardUnavailable.
    """
    if gateway.guards.is_idle(key):
        return
    side = _side(gateway, key, _model_of(body))
    if side is not None and any(use.mode == "block" for use in side.uses):
        await inspected(gateway.guards, Judge(side, Marks()), _call(gateway, key, operation, body))


async def masked(gateway: Gateway, key: Key, operation: str, body: bytes) -> bytes:
    """The same, and the body as it may be kept: what a model would see masked is masked already.

    What is to be put back into the answer stays, for it is needed. `body` itself where nothing stands
    before it that masks.
    """
    if gateway.guards.is_idle(key):
        return body
    side = _side(gateway, key, _model_of(body), leaves_restored=True)
    if side is None or not any(use.mode in ("block", "mask") for use in side.uses):
        return body
    call = _call(gateway, key, operation, body)
    return await inspected(gateway.guards, Judge(side, Marks()), call)


async def stored(gateway: Gateway, key: Key, operation: str, text: str) -> str:
    """A text as it may be stored. Raises ContentBlocked and GuardUnavailable."""
    side = _side(gateway, key, "", leaves_restored=True)
    if side is None:
        return text
    call = _call(gateway, key, operation, fields.encode({"text": text}))
    after = await inspected(gateway.guards, Judge(side, Marks()), call)
    if after is call.body:
        return text
    left: str = fields.decode_object(after)["text"]
    return left


async def shown(gateway: Gateway, key: Key, operation: str, value: Json) -> Json:
    """What was found, as this key may see it. Raises ContentBlocked and GuardUnavailable."""
    policy = gateway.guards.policy(key)
    if policy is None or policy.output is None:
        return value
    body = fields.encode(value)
    call = _call(gateway, key, operation, body)
    after = await redacted(gateway.guards, call, Judge(policy.output, Marks()), body)
    return value if after is body else fields.decode_object(after)


def _side(gateway: Gateway, key: Key, model: str, *, leaves_restored: bool = False) -> Side | None:
    route = gateway.routes.find(model) if model else None
    policy = gateway.guards.policy(key, route)
    if policy is None or policy.input is None:
        return None
    side = policy.input
    if leaves_restored and any(use.mode == "restore" for use in side.uses):
        kept = Uses(input=tuple(use for use in side.uses if use.mode != "restore"))
        return gateway.guards.side(kept)
    return side


def _model_of(body: bytes) -> str:
    """The model that is named, at the top or in the body of a request that is handed on; "" for none."""
    said = fields.decode_object(body)
    for place in (said, said.get("body")):
        if isinstance(place, dict) and isinstance(place.get("model"), str):
            return str(place["model"])
    return ""


def _call(gateway: Gateway, key: Key, operation: str, body: bytes) -> Call:
    now_s = gateway.now()
    return Call(
        id=gateway.new_id(gateway.clock.unix_s()),
        operation=operation,
        body=body,
        head=Head(model=""),
        started_s=now_s,
        deadline_s=now_s + gateway.request_timeout_s,
        key=key,
    )
