"""/v1/vector_stores/{id}/files: OpenAI's files of a store. Rule: what cannot be read is told, never dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.job import owner_of
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.files import page
from gatemill.edge.knowledge import told
from gatemill.edge.knowledge.clerk import StoreClerk, page_of
from gatemill.edge.knowledge.stores import ONE
from gatemill.knowledge import submitted
from gatemill.knowledge.desk import of_file
from gatemill.knowledge.submitted import Attributes, Chunking
from gatemill.ledger.knowledge.rows import STATUSES

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.ledger.knowledge.rows import Document, Store

PATH = ONE + "/files"
_ONE = PATH + "/{file_id}"
ASKED = ("limit", "after", "before", "order", "filter")


class _New(Struct):
    file_id: str
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class _Change(Struct):
    attributes: Attributes | None


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)
    stores = StoreClerk(clerk, shown)
    _add_changing(app, clerk, stores)
    _add_reading(app, clerk, stores)


def _add_changing(app: Application, clerk: Clerk, stores: StoreClerk) -> None:
    async def create(request: Request, store_id: str) -> Response:
        key, desk = clerk.caller(request), stores.desk
        store = await stores.store(request, store_id)
        said = await stores.read(request, _New)
        submitted.strategy(said.chunking_strategy)
        file = (await desk.files(owner_of(key), [said.file_id], "file_id"))[0]
        attributes = msgspec.json.encode(said.attributes or {}).decode()
        new = of_file(file, attributes, submitted.packed(said.chunking_strategy))
        if file.bytes <= desk.terms.inline_bytes:
            document = await stores.read_file(request, store, new)
        else:
            document = (await stores.begin(key, store, [new], {}))[1][0]
        return clerk.answer(shown_file(stores, store, document))

    async def change(request: Request, store_id: str, file_id: str) -> Response:
        store = await stores.store(request, store_id)
        said = await stores.read(request, _Change)
        attributes = msgspec.json.encode(said.attributes or {}).decode()
        document = await stores.desk.store.set_attributes(store, file_id, attributes)
        return clerk.answer(shown_file(stores, store, document))

    async def delete(request: Request, store_id: str, file_id: str) -> Response:
        store = await stores.store(request, store_id)
        await stores.desk.store.detach(store, file_id)
        gone = {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
        return clerk.answer(gone)

    for path, method, handler, name in (
        (PATH, "POST", create, "vector_store_files_create"),
        (_ONE, "POST", change, "vector_store_files_update"),
        (_ONE, "DELETE", delete, "vector_store_files_delete"),
    ):
        app.add_api_route(path, handler, methods=[method], **describe.route(name))


def _add_reading(app: Application, clerk: Clerk, stores: StoreClerk) -> None:
    async def listed(request: Request, store_id: str) -> Response:
        store = await stores.store(request, store_id)
        return clerk.answer(await listing(stores, store, Asked(request, *ASKED)))

    async def one(request: Request, store_id: str, file_id: str) -> Response:
        store = await stores.store(request, store_id)
        document = await stores.desk.store.document(store, file_id)
        return clerk.answer(shown_file(stores, store, document))

    async def content(request: Request, store_id: str, file_id: str) -> Response:
        store = await stores.store(request, store_id)
        text = await stores.desk.store.document_text(store, file_id)
        return clerk.answer(
            {
                "object": "vector_store.file_content.page",
                "data": [{"type": "text", "text": text}],
                "has_more": False,
                "next_page": None,
            }
        )

    for path, handler, name in (
        (PATH, listed, "vector_store_files"),
        (_ONE + "/content", content, "vector_store_file_content"),
        (_ONE, one, "vector_store_file"),
    ):
        app.add_api_route(path, handler, methods=["GET"], **describe.route(name))


async def listing(
    stores: StoreClerk, store: Store, asked: Asked, batch_id: str = ""
) -> dict[str, Any]:
    """A page of the files of a store, or of a batch. Raises InvalidValue."""
    wanted = page_of(asked)
    status = asked.word("filter", "", *STATUSES)
    found = await stores.desk.store.page(store, wanted, status, batch_id)
    return page([shown_file(stores, store, one) for one in found], wanted.limit - 1)


def shown_file(stores: StoreClerk, store: Store, document: Document) -> dict[str, Any]:
    """A file of a store as it is told."""
    return told.file(document, stores.desk.ingesting.strategy(store, document))
