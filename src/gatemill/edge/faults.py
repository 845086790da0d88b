"""A bug of ours becomes an error like any other. Rule: `except Exception` lives here and nowhere else in the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog

from gatemill.core.errors import GatemillError, InternalError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


async def shielded(work: Awaitable[T], request_id: str) -> T:
    """The result of `work`; a bug in it becomes InternalError, and a log line with the traceback."""
    try:
        return await work
    except GatemillError:
        raise
    except Exception as fault:
        structlog.get_logger().error("request_failed", request_id=request_id, exc_info=fault)
        raise InternalError(
            f"This is our fault, not yours. Report the request id {request_id}."
        ) from None
