"""Background tasks that cannot vanish. Rule: the only place that starts one."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Coroutine

_EAGER = sys.version_info >= (3, 12)
_running: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """A running task that is referenced until it ends and whose failure is logged."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        structlog.get_logger().error("task_failed", task=task.get_name(), exc_info=error)


def begin(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
) -> asyncio.Task[None]:
    """A task that has run up to its first wait already, where Python allows (3.12).

    The caller keeps the reference and sees its end; for work that somebody waits for.
    """
    if _EAGER:
        eager: Any = {"eager_start": True}
        return asyncio.Task(coroutine, loop=loop, **eager)
    return loop.create_task(coroutine)
