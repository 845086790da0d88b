"""Questions of one model here to another. Rule: only models that run here; a hosted one costs money that no key pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import ModelLoadFailed, ModelNotFound
from gatemill.core.ports import Outgoing
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatemill.core.ports import Incoming

HERE = ("builtin", "local")


class _Vector(Struct):
    index: int
    embedding: list[float]


class _Vectors(Struct):
    data: list[_Vector]


async def vectors_of(
    ask: Callable[[str, Outgoing], Awaitable[Incoming]], model: str, texts: Sequence[str]
) -> list[list[float]]:
    """A vector for each text, in order.

    `model` is "builtin/hash-512" or "local/NAME". Raises ModelNotFound, ModelLoadFailed and what the
    model says of the texts.
    """
    provider, _, name = model.partition("/")
    if provider not in HERE or not name:
        raise ModelNotFound(
            f"`{model[:200]}` does not run here. Name one of builtin/... or local/...",
            param="model",
        )
    body = {"model": name, "input": list(texts), "encoding_format": "float", "truncate": True}
    answer = await ask(provider, Outgoing("/embeddings", fields.encode(body)))
    try:
        if not 200 <= answer.status < 300:
            raise ModelLoadFailed(f"The model `{model}` answered {answer.status}.")
        found = msgspec.json.decode(answer.body, type=_Vectors).data
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ModelLoadFailed(f"The model `{model}` gives no vectors.") from None
    if len(found) != len(texts):
        raise ModelLoadFailed(
            f"The model `{model}` gave {len(found)} vectors for {len(texts)} texts."
        )
    return [one.embedding for one in sorted(found, key=lambda one: one.index)]
