"""/ui/knowledge: vector stores of whoever is signed in, their files, and a way to try a search.

Rule: another owner's store is one that is not there, as everywhere; a search is on the account of the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.job import owner_of
from gatemill.edge.deferred import desk_of
from gatemill.edge.knowledge import told
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.edge.pages.playground import chat_models
from gatemill.ledger.knowledge import stores
from gatemill.ledger.knowledge.rows import STATUSES

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.knowledge.desk import Desk
    from gatemill.ledger.knowledge.rows import Document, Store

LIST = 50


async def _data(visit: Visit) -> Data:
    desk, owner = _desk(visit), owner_of(visit.key)
    found = await desk.store.listed(owner, stores.Page(LIST + 1, visit.asked.text("after")))
    return {
        "owner": owner,
        "stores": [_store(each, visit.now_s) for each in found[:LIST]],
        "next": found[LIST - 1].id if len(found) > LIST else "",
        "bytes": await desk.store.owned_bytes(owner),
        "stores_max": desk.terms.stores_max,
        "may_change": visit.key.may("knowledge"),
    }


async def _one(visit: Visit, store_id: str) -> Data:
    desk, asked = _desk(visit), visit.asked
    store = await desk.store.store(store_id, owner_of(visit.key))
    status = asked.word("status", "", *STATUSES)
    files = await desk.store.page(store, stores.Page(LIST + 1, asked.text("after")), status)
    return {
        "title": store.name or store.id,
        "store": _store(store, visit.now_s),
        "files": [_file(each) for each in files[:LIST]],
        "next": files[LIST - 1].id if len(files) > LIST else "",
        "filter": {"status": status},
        "statuses": list(STATUSES),
        "models": [model["name"] for model in chat_models(visit)],
        "answer_model": desk.answer_model,
        "may_search": visit.key.may("knowledge")
        and visit.ledger.keys.by_id(visit.key.id) is not None,
        "may_change": visit.key.may("knowledge"),
    }


def _desk(visit: Visit) -> Desk:
    return desk_of(visit.shown.door).services.rooms.knowledge


def _store(store: Store, now_s: float) -> Json:
    return {**told.store(store, now_s), "description": store.description}


def _file(document: Document) -> Json:
    return {
        "id": document.id,
        "title": document.title,
        "status": document.status,
        "error": document.error_message,
        "bytes": document.bytes,
        "chunks": document.chunks,
        "created_at": document.created_at,
    }


PAGE = Page("/ui/knowledge", "Knowledge", "knowledge.html", _data, ("after",))
STORE = Page(
    "/ui/knowledge/{store_id}", "Store", "store.html", _one, ("status", "after"), hidden=True
)
