"""/v1/vector_stores/{id}/documents: texts into a store, without a file. Rule: all of them are added, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import RequestTooLarge
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.knowledge.clerk import StoreClerk
from gatemill.edge.knowledge.stores import ONE
from gatemill.knowledge import submitted
from gatemill.knowledge.submitted import Chunking, Text

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

PATH = ONE + "/documents"
DOCUMENTS_MAX = 2_000  # of one request
BYTES_MAX = 4 << 20  # of their texts, which the job carries


class _New(Struct):
    documents: Annotated[list[Text], Meta(min_length=1, max_length=DOCUMENTS_MAX)]
    chunking_strategy: Chunking | None = None


def add(app: Application, shown: Shown) -> None:
    """The route."""
    clerk = Clerk(shown)
    stores = StoreClerk(clerk, shown)

    async def create(request: Request, store_id: str) -> Response:
        key = clerk.caller(request)
        store = await stores.store(request, store_id)
        said = await stores.read(request, _New)
        submitted.strategy(said.chunking_strategy)
        texts = submitted.named(said.documents, stores.new_id("doc-"))
        new = submitted.documents_of(texts, submitted.packed(said.chunking_strategy))
        size = sum(len(one.text.encode("utf-8", "replace")) for one in texts)
        if size > BYTES_MAX:
            raise RequestTooLarge(
                f"The texts have {size} bytes, at most {BYTES_MAX} are taken at once. Send fewer, or"
                " upload files.",
                param="documents",
            )
        ids = [one.id for one in texts]
        if size <= stores.desk.terms.inline_bytes:
            await stores.read_texts(request, store, new, [one.text for one in texts])
            return clerk.answer(_told(store.id, ids))
        of = {one.id: one.text for one in texts}
        job_id, _ = await stores.begin(key, store, new, of)
        return clerk.answer({**_told(store.id, ids), "job_id": job_id}, 202)

    app.add_api_route(
        PATH, create, methods=["POST"], **describe.route("vector_store_documents_create")
    )


def _told(store_id: str, ids: list[str]) -> dict[str, Any]:
    return {
        "object": "vector_store.documents",
        "vector_store_id": store_id,
        "added": len(ids),
        "ids": ids,
    }
