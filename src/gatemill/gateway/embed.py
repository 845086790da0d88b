"""The vector of a text, for the cache of similar prompts: one embeddings request of our own.

Rule: it is planned, sent and billed like any other, to the key of the call that it serves.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.call import Call, Head
from gatemill.core.errors import ClientGone, GatemillError, UpstreamBadReply
from gatemill.gateway import parts
from gatemill.gateway.plan import plan
from gatemill.gateway.settle import settle
from gatemill.upstream.attempt import attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.gateway.parts import Gateway

_OPERATION = "embeddings"


class _One(Struct):
    embedding: list[float]


class _Vectors(Struct):
    data: list[_One]


_decode = msgspec.json.Decoder(_Vectors).decode


class Embedder:
    """Asks the gateway that it is a part of, and does not keep it alive."""

    gateway: weakref.ref[Gateway]  # set once that exists

    async def __call__(self, call: Call, model: str, text: str) -> Sequence[float]:
        """The vector. Raises GatemillError."""
        gateway = self.gateway()
        assert gateway is not None, "the call that is served holds it"
        assert call.key is not None
        body = msgspec.json.encode({"model": model, "input": text, "encoding_format": "float"})
        own = Call(
            id=f"{call.id}-embed",
            operation=_OPERATION,
            body=body,
            head=Head(model=model),
            started_s=gateway.now(),
            deadline_s=call.deadline_s,
            arrived_at=call.arrived_at,
            key=call.key,
            seed=call.seed,
        )
        failure: GatemillError | None = None
        try:
            chosen = plan(gateway.routes, call.key, own, gateway.now())
            own.label = chosen.route.name
            surface = gateway.surfaces[_OPERATION]
            reply = await attempt(chosen.targets, surface, own, gateway.tries)
        except GatemillError as error:
            failure = error
            raise
        except asyncio.CancelledError:
            failure = ClientGone("The caller hung up.")
            raise
        finally:
            caller = parts.Caller(secret=None, started_s=own.started_s)
            call.besides_microusd += settle(gateway, own, caller, failure) or 0
        try:
            return _decode(reply.body).data[0].embedding
        except (msgspec.MsgspecError, IndexError) as error:
            raise UpstreamBadReply("The embedding model answered without a vector.") from error
