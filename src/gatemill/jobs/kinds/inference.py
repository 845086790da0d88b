"""One request of any format. Rule: the body is the request, byte for byte but for what guards mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from gatemill.core.errors import InvalidRequest
from gatemill.jobs.answering import answered
from gatemill.jobs.checking import Operation, check_request
from gatemill.jobs.submission import placed

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "inference"
QUEUE = "inference"
MASKED = True


class Args(Struct, frozen=True, forbid_unknown_fields=True):
    """A request."""

    operation: Operation  # the format: what stands in the path of the request
    body: Raw  # with `stream: true`, where the format has it, the job's events are the stream's


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises what the request itself would, with paths that begin with `body`."""
    try:
        check_request(gateway, key, args.operation, bytes(args.body))
    except InvalidRequest as error:
        raise placed(error, "body") from None


async def run(ctx: Context, args: Args) -> Any:
    """The answer, in the format of the request."""
    return await answered(ctx, args.operation, bytes(args.body))
