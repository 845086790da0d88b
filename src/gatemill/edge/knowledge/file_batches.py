"""/v1/vector_stores/{id}/file_batches: many files at once. Rule: one job reads them in; each ends for itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import Conflict, InvalidValue, MissingParameter, NotFound
from gatemill.core.job import owner_of
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.edge.knowledge import told
from gatemill.edge.knowledge.clerk import StoreClerk
from gatemill.edge.knowledge.store_files import ASKED, listing
from gatemill.edge.knowledge.stores import ONE
from gatemill.knowledge import submitted
from gatemill.knowledge.desk import FILES_MAX, of_file
from gatemill.knowledge.submitted import Attributes, Chunking
from gatemill.ledger.knowledge.documents import Batch
from gatemill.ledger.knowledge.rows import Counts

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

PATH = ONE + "/file_batches"
_ONE = PATH + "/{batch_id}"


class _File(Struct, forbid_unknown_fields=True):
    file_id: str
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class _New(Struct):
    file_ids: Annotated[list[str], Meta(min_length=1, max_length=FILES_MAX)] | None = None
    files: Annotated[list[_File], Meta(min_length=1, max_length=FILES_MAX)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None

    def listed(self) -> list[_File]:
        """Each file with what is said of it. Raises MissingParameter, InvalidValue."""
        if self.files is not None and self.file_ids is not None:
            raise InvalidValue("`files`: send it, or `file_ids`, but not both.", param="files")
        if self.files is not None:
            return self.files
        if self.file_ids is None:
            raise MissingParameter("`file_ids`: is required. Send ids of files.", param="file_ids")
        return [_File(one, self.attributes, self.chunking_strategy) for one in self.file_ids]


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)
    stores = StoreClerk(clerk, shown)

    async def create(request: Request, store_id: str) -> Response:
        key, desk = clerk.caller(request), stores.desk
        store = await stores.store(request, store_id)
        said = (await stores.read(request, _New)).listed()
        for one in said:
            submitted.strategy(one.chunking_strategy)
        found = await desk.files(owner_of(key), [one.file_id for one in said], "file_ids")
        new = [
            of_file(
                file,
                msgspec.json.encode(one.attributes or {}).decode(),
                submitted.packed(one.chunking_strategy),
            )
            for file, one in zip(found, said, strict=True)
        ]
        batch_id = stores.new_id("vsfb_")
        job_id, begun = await stores.begin(key, store, new, {}, batch_id)
        batch = Batch(
            id=batch_id,
            store_id=store.id,
            job_id=job_id,
            created_at=begun[0].created_at,
            cancelled=False,
            documents=Counts(in_progress=len(begun)),
        )
        return clerk.answer(told.batch(batch))

    async def one(request: Request, store_id: str, batch_id: str) -> Response:
        store = await stores.store(request, store_id)
        return clerk.answer(told.batch(await stores.desk.store.batch(store, batch_id)))

    async def cancel(request: Request, store_id: str, batch_id: str) -> Response:
        store = await stores.store(request, store_id)
        batch = await stores.desk.store.cancel_batch(store, batch_id)
        with suppress(Conflict, NotFound):  # its job has ended
            await desk_of(shown.door).cancel(clerk.caller(request), batch.job_id)
        return clerk.answer(told.batch(batch))

    async def files(request: Request, store_id: str, batch_id: str) -> Response:
        store = await stores.store(request, store_id)
        await stores.desk.store.batch(store, batch_id)
        return clerk.answer(await listing(stores, store, Asked(request, *ASKED), batch_id))

    for path, method, handler, name in (
        (PATH, "POST", create, "vector_store_batches_create"),
        (_ONE, "GET", one, "vector_store_batch"),
        (_ONE + "/cancel", "POST", cancel, "vector_store_batches_cancel"),
        (_ONE + "/files", "GET", files, "vector_store_batch_files"),
    ):
        app.add_api_route(path, handler, methods=[method], **describe.route(name))
