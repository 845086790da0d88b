"""What tests of jobs do again and again over HTTP."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from api import Api, Said

JOBS = "/v1/jobs"
CHAT_ARGS = {"model": "echo", "messages": [{"role": "user", "content": "hello big world"}]}


class Keys(NamedTuple):
    """Secrets: two that share a team, and a stranger's."""

    ada: str
    bob: str
    eve: str


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    id: str
    data: Any


def events_of(said: Said) -> list[Event]:
    """The events of a whole stream; comments are left out."""
    assert said.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in said.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "data" not in fields:
            continue
        data = fields["data"]
        if data[:1] in "{[" and data != "[DONE]":
            data = msgspec.json.decode(data)
        found.append(Event(fields.get("event", ""), fields.get("id", ""), data))
    return found


async def submit(ask: Api, args: Any = None, key: str | None = None, **more: Any) -> Any:
    """A job of the kind `held` that was accepted."""
    said = await ask("POST", JOBS, {"kind": "held", "args": args or {}, **more}, key)
    assert said.status == 202, said.body
    return said.json


async def ended(ask: Api, job_id: str, key: str | None = None) -> Any:
    """The job, once it has ended: its events are followed to their end."""
    said = await ask("GET", f"{JOBS}/{job_id}/events", None, key)
    assert said.status == 200, said.body
    return await ask.good("GET", f"{JOBS}/{job_id}", None, key)


async def dead(ask: Api, code: str = "broken", key: str | None = None, **more: Any) -> str:
    """The id of a dead letter."""
    job = await submit(ask, {"fails": code}, key, **more)
    assert (await ended(ask, job["id"], key))["state"] == "dead"
    return str(job["id"])


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, once it finds something."""
    async with asyncio.timeout(90):
        for pause_s in itertools.repeat(0.01):
            if found := await look():
                return found
            await asyncio.sleep(pause_s)
    raise AssertionError


async def running(ask: Api, job_id: str) -> None:
    """Returns when the job runs."""

    async def look() -> bool:
        return bool((await ask.good("GET", f"{JOBS}/{job_id}"))["state"] == "running")

    await until(look)


async def jobs_there(ask: Api) -> int:
    """How many jobs there are, whatever became of them."""
    return len((await ask.good("GET", f"{JOBS}?limit=500"))["data"])
