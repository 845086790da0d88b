"""What a kind asks of the gateway before its job is accepted.

Rule: a job is refused for what the same request would be refused for, in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gatemill.core.call import Call, Head
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import read
from gatemill.gateway.plan import plan

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway

Operation = Literal[
    "chat",
    "completions",
    "embeddings",
    "inference",
    "messages",
    "moderations",
    "predict",
    "predict_text",
    "rerank",
    "responses",
]
_EMPTY = b"{}"


def check_request(gateway: Gateway, key: Key, operation: str, body: bytes) -> None:
    """The key may make this request. Raises InvalidRequest and its kinds, ModelNotFound."""
    caller = Caller(secret=None, started_s=gateway.now())
    call = read(gateway, gateway.surfaces[operation], body, caller, "", key)
    plan(gateway.routes, key, call, gateway.now())


def check_model(gateway: Gateway, key: Key, model: str, output_max: int | None = None) -> None:
    """The key may ask this model for so many tokens. Raises ModelNotFound, InvalidValue."""
    now_s = gateway.now()
    head = Head(model=model, output_max=output_max)
    call = Call(
        id="", operation="chat", body=_EMPTY, head=head, started_s=now_s, deadline_s=now_s, key=key
    )
    plan(gateway.routes, key, call, now_s)


def window(gateway: Gateway, model: str) -> int | None:
    """The shortest context that may answer for this model, in tokens; None when none is known."""
    known: list[int] = []
    waiting, seen = [model], set[str]()
    while waiting:
        name = waiting.pop()
        route = gateway.routes.find(name)
        if route is None or name in seen:
            continue
        seen.add(name)
        known += [t.context_tokens for t in route.targets if t.context_tokens]
        if route.experiment is not None:
            waiting += [arm.model for arm in route.experiment.arms]
        if route.complexity is not None:
            waiting += [route.complexity.simple, route.complexity.hard]
        if route.by_feature is not None:
            waiting += [*route.by_feature.models.values(), route.by_feature.default]
    return min(known, default=None)
