"""A kind of job that is a dead letter at once, loaded by name in the processes that tests start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.job import Problem
from gatemill.jobs.context import Quit

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

NAME = "no_luck"
QUEUE = "inference"


class Args(Struct, forbid_unknown_fields=True):
    """Nothing."""


async def run(ctx: Context, args: Args) -> Any:
    """Raises."""
    raise Quit(Problem("no_luck", "It was not to be."))
