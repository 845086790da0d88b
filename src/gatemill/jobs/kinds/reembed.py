"""New vectors for a whole store, by another embedder or another version of it.

Rule: searches use the old vectors until all new ones are there; then they use the new ones, at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from gatemill.core.errors import Conflict, UpstreamBadReply
from gatemill.core.gathering import gathered
from gatemill.core.job import LOW
from gatemill.jobs.asker import Asker
from gatemill.jobs.checking import check_model
from gatemill.jobs.fanout import Fan
from gatemill.knowledge.asking import vectors_of
from gatemill.knowledge.ingesting import GROUP_PASSAGES
from gatemill.ledger.knowledge.filling import Outdated
from gatemill.ledger.knowledge.numbers import packed
from gatemill.ledger.knowledge.rows import Embedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context
    from gatemill.jobs.services import Services
    from gatemill.ledger.knowledge.filling import Bare, Reembedding

NAME = "documents.reembed"
QUEUE = "documents"
SCOPE = "knowledge"
PRIORITY = LOW
TIMEOUT_S = 86_400.0

_FLOAT_BYTES = 4
_PROBE = "How long are your vectors?"


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store, and who embeds it from now on."""

    store: Annotated[str, Meta(min_length=1, max_length=512)]  # its id or name
    embedding_model: Annotated[str, Meta(min_length=1, max_length=200)]
    concurrency: Annotated[int, Meta(ge=1, le=16)] = 2  # requests at once


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises ModelNotFound."""
    check_model(gateway, key, args.embedding_model)


async def look(args: Args, key: Key, services: Services) -> None:
    """Raises NotFound for a store that is not there, or another owner's."""
    await services.rooms.knowledge.find(args.store, key, "store")


async def run(ctx: Context, args: Args) -> Any:
    """The store's id, its embedder, how many passages have new vectors, and `usage`."""
    knowledge = ctx.services.rooms.knowledge.store
    store = await knowledge.find(args.store, ctx.job.owner)
    try:
        work = await _Work.begun(ctx, args, await knowledge.reembed(store, ctx.job.id))
        while not await knowledge.switch(work.reembedding, work.embedder):
            await work.round()
    except Outdated:
        raise Conflict(
            "Another job has begun to embed this store anew, or has done so.", param="store"
        ) from None
    ctx.progress(work.done, work.done)
    return {
        "store": store.id,
        "embedding_model": args.embedding_model,
        "dimensions": work.dimensions,
        "chunks": work.done,
        "usage": work.asker.usage,
    }


class _Work:
    """The vectors of one attempt."""

    def __init__(self, ctx: Context, args: Args, reembedding: Reembedding) -> None:
        self.reembedding = reembedding
        self.asker = Asker(Fan(ctx, reembedding.store.chunks, args.concurrency), ctx)
        self.done = 0
        self.dimensions = 0
        self._ctx = ctx
        self._args = args
        self._knowledge = ctx.services.rooms.knowledge.store

    @classmethod
    async def begun(cls, ctx: Context, args: Args, reembedding: Reembedding) -> _Work:
        """The work after its first round."""
        work = cls(ctx, args, reembedding)
        # Also when an earlier attempt has made all vectors: their length has to be known.
        probe = await vectors_of(work.asker, args.embedding_model, [_PROBE])
        work.dimensions = len(packed(probe[0])) // _FLOAT_BYTES
        await work.round()
        return work

    @property
    def embedder(self) -> Embedder:
        """What the new vectors are made by."""
        return Embedder(self._args.embedding_model, self.dimensions)

    async def round(self) -> None:
        """Every passage that there was has a new vector. Raises GatemillError, Outdated."""
        store, above = self.reembedding.store, 0
        many = GROUP_PASSAGES * self._args.concurrency
        while bare := await self._knowledge.without_vector(
            store, store.generation + 1, above, many
        ):
            groups = [bare[at : at + GROUP_PASSAGES] for at in range(0, len(bare), GROUP_PASSAGES)]
            for outcome in await gathered(self._embed, groups, self._args.concurrency):
                if isinstance(outcome, BaseException):
                    raise outcome
            above = bare[-1].number
            self._ctx.progress(self.done, max(self.done, store.chunks))

    async def _embed(self, group: Sequence[Bare]) -> None:
        texts = [one.text for one in group]
        found = await vectors_of(self.asker, self._args.embedding_model, texts)
        vectors = [packed(vector) for vector in found]
        lengths = {len(vector) // _FLOAT_BYTES for vector in vectors} | {self.dimensions}
        if len(lengths) > 1:
            raise UpstreamBadReply("The embedding model gave vectors of different lengths.")
        rows = list(zip(group, vectors, strict=True))
        await self._knowledge.add_vectors(self.reembedding, rows)
        self.done += len(rows)
