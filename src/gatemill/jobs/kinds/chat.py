"""One chat completion. Rule: the arguments are the request, byte for byte but for what guards mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw

from gatemill.jobs.answering import answered
from gatemill.jobs.checking import check_request

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "chat.completion"
QUEUE = "inference"
MASKED = True

Args = Raw
"""The body of POST /v1/chat/completions. With `stream: true` the events of the job are the stream's."""


def check(args: Raw, key: Key, gateway: Gateway) -> None:
    """Raises what POST /v1/chat/completions would."""
    check_request(gateway, key, "chat", bytes(args))


async def run(ctx: Context, args: Raw) -> Any:
    """The completion object."""
    return await answered(ctx, "chat", bytes(args))
