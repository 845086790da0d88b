"""Stage 3b: what is known of the caller, the prompt that was named, and what an arm changes.

Rule: a request that names none of these costs two looks; the fields that ask for it are ours, and
no provider sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import NotFound, UnsupportedOperation
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import Json, Surface
    from gatemill.gateway.parts import Gateway
    from gatemill.gateway.plan import Plan

_OURS = ("prompt_id", "prompt_variables", "entities")


async def learn(gateway: Gateway, call: Call, *, keep: bool = True) -> None:
    """The features of the entities that the call names, before it is planned.

    With `keep` they are logged with the call's id. Raises InvalidValue for an unknown entity, and for
    a value that the caller may not say.
    """
    if (call.head.entities or call.head.features) and gateway.facts is not None:
        call.facts = await gateway.facts.resolve(call, keep=keep)


def fill(gateway: Gateway, surface: Surface, call: Call, chosen: Plan) -> None:
    """The body as its prompt, its arm and its features want it. Raises InvalidRequest and its kinds."""
    call.experiment = chosen.experiment
    arm, head = chosen.arm, call.head
    arms = arm.prompt if arm is not None else ""
    name = arms or head.prompt
    # Callers of an experiment send variables, whether or not the arm that they get has a prompt.
    spare = chosen.version and b'"prompt_variables"' in call.body
    if not (name or head.entities or spare or arm is not None):
        return
    call.asked = call.body
    body = fields.read_object(call.body)
    variables = body.get("prompt_variables") or {}
    for field in _OURS:
        body.pop(field, None)
    if name:
        # An arm's was named by an admin, for whoever may ask the experiment's model.
        if not arms and gateway.prompts is not None:
            gateway.prompts.check(name, call.key)
        body = _prompted(gateway, call, body, name, variables)
    if arm is not None and arm.params:
        body |= fields.decode_object(arm.params)
    if call.operation == "predict" and call.facts:
        # What the platform knows goes before what the caller says; of what it has left to callers,
        # `facts` holds their word.
        known = {name: value for name, value in call.facts.items() if value is not None}
        body["features"] = {**(body.get("features") or {}), **known}
    body["model"] = head.model
    call.body = fields.encode(body)
    call.head = surface.head(call.body)


def _prompted(
    gateway: Gateway, call: Call, body: Json, name: str, variables: dict[str, Any]
) -> Json:
    """The body with the prompt's messages before its own."""
    if call.operation != "chat":
        raise UnsupportedOperation(
            "This model's experiment fills in a prompt, which chat completions take and this format"
            " does not. Use /v1/chat/completions.",
            param="model",
        )
    if gateway.prompts is None:
        raise NotFound("There are no prompts here.", param="prompt_id")
    filled = gateway.prompts.fill(name, variables, call.facts or {})
    call.prompt = filled.version
    messages = [*filled.messages, *(body.get("messages") or ())]
    return {**filled.params, **body, "messages": messages}
