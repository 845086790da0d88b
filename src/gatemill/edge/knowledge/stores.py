"""/v1/vector_stores: OpenAI's vector stores. Rule: another owner's store is one that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.core.job import owner_of
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.files import page
from gatemill.edge.knowledge import told
from gatemill.edge.knowledge.clerk import StoreClerk, page_of
from gatemill.jobs.submission import Metadata
from gatemill.knowledge import desk as knowledge
from gatemill.knowledge import submitted
from gatemill.knowledge.submitted import Chunking
from gatemill.ledger.knowledge.stores import Change

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

PATH = "/v1/vector_stores"
ONE = PATH + "/{store_id}"
DAYS_MAX = 365
_PAIRS_MAX = 16
_Name = Annotated[str, Meta(max_length=256)]
_About = Annotated[str, Meta(max_length=2000)]


class _Expiry(Struct, forbid_unknown_fields=True):
    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)]


class _New(Struct):
    name: _Name | None = None
    description: _About | None = None
    file_ids: Annotated[list[str], Meta(max_length=knowledge.FILES_MAX)] | None = None
    chunking_strategy: Chunking | None = None
    expires_after: _Expiry | None = None
    metadata: Metadata | None = None
    mode: Literal["auto", "keyword", "hybrid"] = "auto"
    embedding_model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class _Change(Struct):
    name: _Name | UnsetType | None = UNSET
    description: _About | UnsetType | None = UNSET
    expires_after: _Expiry | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)
    desk = StoreClerk(clerk, shown)
    _add_changing(app, clerk, desk)
    _add_reading(app, clerk, desk)


def _add_changing(app: Application, clerk: Clerk, stores: StoreClerk) -> None:
    async def create(request: Request) -> Response:
        key, desk = clerk.caller(request), stores.desk
        said = await stores.read(request, _New)
        submitted.strategy(said.chunking_strategy)
        files = await desk.files(owner_of(key), said.file_ids, "file_ids") if said.file_ids else []
        wanted = knowledge.Wanted(
            name=said.name or "",
            description=said.description or "",
            mode=said.mode,
            embedding_model=said.embedding_model,
            metadata=_metadata(said.metadata),
            expires_days=None if said.expires_after is None else said.expires_after.days,
        )
        store = await desk.create(key, stores.new_id("vs_"), wanted)
        if files:
            how = submitted.packed(said.chunking_strategy)
            new = [knowledge.of_file(file, "{}", how) for file in files]
            await stores.begin(key, store, new, {})
            store = await desk.store.store(store.id, store.owner)
        return clerk.answer(told.store(store, clerk.now_s))

    async def change(request: Request, store_id: str) -> Response:
        owner, desk = owner_of(clerk.caller(request)), stores.desk
        said = await stores.read(request, _Change)
        changes = Change(
            name=_or_empty(said.name),
            description=_or_empty(said.description),
            metadata=UNSET if said.metadata is UNSET else _metadata(said.metadata),
            expires_days=said.expires_after.days
            if isinstance(said.expires_after, _Expiry)
            else said.expires_after,
        )
        store = await desk.store.change(store_id, owner, changes)
        return clerk.answer(told.store(store, clerk.now_s))

    async def delete(request: Request, store_id: str) -> Response:
        await stores.desk.store.delete(store_id, owner_of(clerk.caller(request)))
        return clerk.answer({"id": store_id, "object": "vector_store.deleted", "deleted": True})

    for path, method, handler, name in (
        (PATH, "POST", create, "vector_stores_create"),
        (ONE, "POST", change, "vector_stores_update"),
        (ONE, "DELETE", delete, "vector_stores_delete"),
    ):
        app.add_api_route(path, handler, methods=[method], **describe.route(name))


def _add_reading(app: Application, clerk: Clerk, stores: StoreClerk) -> None:
    async def listed(request: Request) -> Response:
        owner = owner_of(clerk.caller(request))
        wanted = page_of(Asked(request, "limit", "after", "before", "order"))
        found = await stores.desk.store.listed(owner, wanted)
        shown = [told.store(one, clerk.now_s) for one in found]
        return clerk.answer(page(shown, wanted.limit - 1))

    async def one(request: Request, store_id: str) -> Response:
        return clerk.answer(told.store(await stores.store(request, store_id), clerk.now_s))

    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("vector_stores"))
    app.add_api_route(ONE, one, methods=["GET"], **describe.route("vector_store"))


def _metadata(said: dict[str, str] | None) -> str:
    if said is not None and len(said) > _PAIRS_MAX:
        raise InvalidValue(f"`metadata`: send at most {_PAIRS_MAX} pairs.", param="metadata")
    return msgspec.json.encode(said or {}).decode()


def _or_empty(said: str | UnsetType | None) -> str | UnsetType:
    return "" if said is None else said
