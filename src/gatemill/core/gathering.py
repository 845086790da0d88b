"""Many things at a time, and not more than wanted.

Rule: an item is taken when somebody has time for it, so ten thousand of them are not ten thousand
tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar, cast

from gatemill.core.errors import GatemillError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


async def gathered(
    ask: Callable[[T], Awaitable[R]], source: Iterable[T] | AsyncIterable[T], max_concurrent: int
) -> list[R | GatemillError]:
    """What `ask` gives for each, or the GatemillError that it fails with, in order.

    Any other exception, also of `source`, cancels the rest and is raised.
    """
    results: list[R | GatemillError] = []
    taking = asyncio.Lock()
    workers = 1

    async with aclosing(_each(source)) as items:

        async def work() -> None:
            nonlocal workers
            while True:
                async with taking:
                    try:
                        item = await anext(items)
                    except StopAsyncIteration:
                        return
                    place = len(results)
                    results.append(cast("R", None))
                if workers < max_concurrent:  # one more, who may find nothing left
                    workers += 1
                    group.create_task(work())
                try:
                    results[place] = await ask(item)
                except GatemillError as error:
                    results[place] = error

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
    return results


async def _each(source: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item
