"""Documents into a vector store.

Rule: each document ends for itself, complete or with the reason why not. What an attempt has stored, the
next one does not store again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import GatemillError, InvalidValue, NotFound
from gatemill.core.job import LOW, owner_of
from gatemill.jobs.asker import Asker
from gatemill.jobs.context import Quit
from gatemill.jobs.fanout import Fan, Kept, Tokens, is_of_item, row, rows_of
from gatemill.jobs.runner import problem_of
from gatemill.knowledge.desk import of_file
from gatemill.knowledge.extracting.limits import SERVER
from gatemill.knowledge.submitted import (
    Attributes,
    Chunking,
    Text,
    documents_of,
    named,
    packed,
    strategy,
)
from gatemill.ledger.knowledge.documents import Filling
from gatemill.ledger.knowledge.rows import CANCELLED, FAILED, IN_PROGRESS

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.job import Problem
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context
    from gatemill.jobs.services import Services
    from gatemill.ledger.knowledge.rows import Document, Store

NAME = "documents.ingest"
QUEUE = "documents"
SCOPE = "knowledge"
PRIORITY = LOW
TIMEOUT_S = 21_600.0

AT_ONCE = 2  # documents; each of them stores and embeds by itself
_OF_JOB = 10_000  # documents of one job, at most


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files and texts, and the store they belong in."""

    store: Annotated[str, Meta(min_length=1, max_length=512)]  # its id or name
    file_ids: Annotated[list[str], Meta(max_length=2000)] = []
    documents: Annotated[list[Text], Meta(max_length=_OF_JOB)] = []
    attributes: Attributes = {}  # of the files
    chunking_strategy: Chunking | None = None
    accepted: bool = False  # the documents stand in the store already, with this job


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises InvalidValue."""
    strategy(args.chunking_strategy)
    if not args.file_ids and not args.documents and not args.accepted:
        raise InvalidValue("`file_ids`: send ids of files, or `documents`.", param="file_ids")


async def look(args: Args, key: Key, services: Services) -> None:
    """Raises NotFound for a store or a file that is not there, or another owner's."""
    desk = services.rooms.knowledge
    await desk.find(args.store, key, "store")
    if args.file_ids:
        await desk.files(owner_of(key), args.file_ids, "file_ids")


async def run(ctx: Context, args: Args) -> Any:
    """`data` with what became of each document; `usage`; and how many `failed`."""
    desk = ctx.services.rooms.knowledge
    store = await desk.store.find(args.store, ctx.job.owner)
    if not args.accepted:
        await ctx.step("begin", lambda: _begin(ctx, args, store))
    work = _Work(ctx, args, store)
    waiting = await desk.store.of_job(store, ctx.job.id, _OF_JOB)
    return await work.run(waiting)


async def _begin(ctx: Context, args: Args, store: Store) -> int:
    """The documents stand in the store. Raises NotFound, InvalidValue and what refuses more documents."""
    desk = ctx.services.rooms.knowledge
    how = packed(args.chunking_strategy)
    attributes = msgspec.json.encode(args.attributes).decode()
    new = documents_of(_named(ctx, args), how)
    if args.file_ids:
        files = await desk.files(owner_of(ctx.key), args.file_ids, "file_ids")
        new += [of_file(file, attributes, how) for file in files]
    await desk.check_room(store, len(new))
    await desk.store.begin(store, new, Filling(job_id=ctx.job.id))
    return len(new)


def _named(ctx: Context, args: Args) -> list[Text]:
    return named(args.documents, f"doc-{ctx.job.id.removeprefix('job_')}")


class _Work:
    """What the documents of one attempt share."""

    def __init__(self, ctx: Context, args: Args, store: Store) -> None:
        self._ctx = ctx
        self._store = store
        self._desk = ctx.services.rooms.knowledge
        self._texts = {one.id: one.text for one in _named(ctx, args)}
        self._fan: Fan
        self._total = 0

    async def run(self, waiting: list[Document]) -> Any:
        """What becomes of them. Raises GatemillError for what the next attempt may do better."""
        self._total = len(waiting)
        self._fan = Fan(self._ctx, self._total, AT_ONCE)
        try:
            found = await self._fan.run(
                waiting, lambda one: f"document.{one.number}", self._one, self._failure
            )
        except (GatemillError, Quit) as error:
            job = self._ctx.job
            if job.attempt >= job.attempts_max or getattr(error, "retry", None) is False:
                problem = error.problem if isinstance(error, Quit) else problem_of(error)
                await self._give_up(waiting, problem)
            raise
        for document, kept in zip(waiting, found, strict=True):
            if kept.failed:  # also those that nobody could answer for
                await self._desk.store.fail(document, SERVER, _reason(kept))
        return {"data": rows_of(found), "usage": self._fan.usage, "failed": self._fan.failed}

    async def _one(self, document: Document) -> Kept:
        asker = Asker(self._fan, self._ctx)
        if document.status != IN_PROGRESS:  # an earlier attempt came so far
            return await self._told(document, asker.usage)

        def told(done: int, total: int) -> None:
            self._ctx.progress(0, self._total, f"{document.title}: {done} of {total} passages")

        try:
            await self._desk.ingesting.read_in(
                asker, self._store, document, self._texts.get(document.id), told
            )
        except GatemillError as error:
            if not is_of_item(error):
                raise
            await self._desk.store.fail(document, SERVER, error.message)
            gone = row(id=document.id, status=FAILED, error=problem_of(error))
            return Kept((gone,), asker.usage, failed=1)
        return await self._told(document, asker.usage)

    async def _told(self, document: Document, usage: Tokens) -> Kept:
        try:
            found = await self._desk.store.document(self._store, document.id)
        except NotFound:  # deleted meanwhile, as the one below
            return Kept((row(id=document.id, status=CANCELLED),), usage)
        if found.number != document.number:
            return Kept((row(id=document.id, status=CANCELLED),), usage)
        if found.status == FAILED:
            error = {"code": found.error_code, "message": found.error_message}
            return Kept((row(id=document.id, status=FAILED, error=error),), usage, failed=1)
        return Kept((row(id=document.id, status=found.status, chunks=found.chunks),), usage)

    def _failure(self, document: Document, problem: Problem) -> list[Any]:
        return [{"id": document.id, "status": FAILED, "error": problem}]

    async def _give_up(self, waiting: list[Document], problem: Problem) -> None:
        await asyncio.gather(
            *(self._desk.store.fail(one, SERVER, problem.message) for one in waiting)
        )


def _reason(kept: Kept) -> str:
    said = msgspec.json.decode(kept.rows[0])
    return str(said["error"]["message"])
