"""What the routes of stores begin with: who asks, the desk, the store; and how documents come in.

Rule: small documents are read in while the caller waits, others by a job; what a store says of them is the
same.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError, InvalidValue
from gatemill.core.job import owner_of
from gatemill.edge.arrival import Arrival
from gatemill.edge.deferred import desk_of
from gatemill.edge.jobs.counter import Counter
from gatemill.gateway import aside
from gatemill.jobs.making import new_job
from gatemill.knowledge.asking import Asking
from gatemill.knowledge.extracting.limits import SERVER
from gatemill.ledger.knowledge.documents import Filling
from gatemill.ledger.knowledge.rows import FAILED
from gatemill.ledger.knowledge.stores import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from gatemill.core.call import Key
    from gatemill.edge.admin.bodies import Asked
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.shown import Shown
    from gatemill.jobs.services import Services
    from gatemill.knowledge.desk import Desk
    from gatemill.ledger.knowledge.documents import NewDocument
    from gatemill.ledger.knowledge.rows import Document, Store

T = TypeVar("T", bound=Struct)

LIST, LIST_MAX = 20, 100  # entries of a page, as OpenAI has it
INGEST = "documents.ingest"


class StoreClerk:
    """One for the application."""

    def __init__(self, clerk: Clerk, shown: Shown) -> None:
        self.clerk = clerk
        self._shown = shown
        self._counter = Counter(clerk, shown)

    @property
    def services(self) -> Services:
        """What jobs use. Raises UnsupportedOperation where nobody takes any."""
        return desk_of(self._shown.door).services

    @property
    def desk(self) -> Desk:
        """The one of knowledge."""
        return self.services.rooms.knowledge

    async def read(self, request: Request, kind: type[T]) -> T:
        """The body. Raises InvalidRequest and its kinds."""
        return await self._counter.read(request, kind)

    async def store(self, request: Request, store_id: str) -> Store:
        """A store of the caller's. Raises InvalidApiKey, NotFound."""
        return await self.desk.store.store(store_id, owner_of(self.clerk.caller(request)))

    def new_id(self, prefix: str) -> str:
        """An id that nobody can guess."""
        return f"{prefix}{self.services.new_id().removeprefix('job_')}"

    # --- Documents on their way in ---------------------------------------------------------------

    async def begin(
        self,
        key: Key,
        store: Store,
        new: Sequence[NewDocument],
        texts: Mapping[str, str],
        batch_id: str = "",
    ) -> tuple[str, list[Document]]:
        """A job reads the documents in: its id, and how they stand.

        Its arguments hold the texts as they may be stored. Raises Conflict, RequestTooLarge,
        ContentBlocked, GuardUnavailable.
        """
        services, gateway = self.services, self.clerk.gateway
        await self.desk.check_room(store, len(new))
        args = {
            "store": store.id,
            "accepted": True,
            "documents": [
                {"id": one, "text": await aside.stored(gateway, key, "documents", text)}
                for one, text in texts.items()
            ],
        }
        job = new_job(services, INGEST, msgspec.json.encode(args), owner=store.owner, key_id=key.id)
        found = await self.desk.store.begin(store, new, Filling(job=job, batch_id=batch_id))
        await desk_of(self._shown.door).ring([job])
        return job.id, found

    async def read_file(self, request: Request, store: Store, new: NewDocument) -> Document:
        """A file as a document, complete or failed. Raises as `begin`."""
        desk = self.desk
        await desk.check_room(store, 1)
        document = (await desk.store.begin(store, [new], Filling()))[0]
        try:
            await desk.ingesting.read_in(self._asking(request), store, document, None)
        except GatemillError as error:
            await desk.store.fail(document, SERVER, error.message)
        return await desk.store.document(store, document.id)

    async def read_texts(
        self, request: Request, store: Store, new: Sequence[NewDocument], texts: Sequence[str]
    ) -> None:
        """All texts are documents of the store, complete; or none is.

        Raises InvalidValue for one that cannot be cut, what embedding raises, and as `begin`.
        """
        desk, asking = self.desk, self._asking(request)
        await desk.check_room(store, len(new))
        documents = await desk.store.begin(store, new, Filling())
        async with AsyncExitStack() as undoing:
            for document in documents:
                undoing.push_async_callback(desk.store.detach, store, document.id)
            for document, text in zip(documents, texts, strict=True):
                await desk.ingesting.read_in(asking, store, document, text)
                found = await desk.store.document(store, document.id)
                if found.status == FAILED:
                    raise InvalidValue(
                        f"`documents`: {document.id}: {found.error_message}", param="documents"
                    )
            undoing.pop_all()

    def _asking(self, request: Request) -> Asking:
        gateway = self.clerk.gateway
        arrival = Arrival(gateway.now())
        for name, value in request.headers.raw:
            arrival.header(name, value)
        return Asking(gateway, arrival.caller(), gateway.new_id(self.clerk.now_s))


def page_of(asked: Asked) -> Page:
    """The page that is asked for, and one entry more. Raises InvalidValue."""
    return Page(
        (asked.whole("limit", LIST, LIST_MAX) or LIST) + 1,
        asked.text("after"),
        asked.text("before"),
        oldest_first=asked.word("order", "desc", "asc") == "asc",
    )
