"""Stores in the database. Rule: functions of an open database; the caller has the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gatemill.core.errors import NotFound, RateLimited
from gatemill.ledger import queries
from gatemill.ledger.knowledge.rows import Counts, Embedder, Store

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

TOUCH_S = 60.0  # a store that is used is noted so often, at most
SWEEP_STORES = 20  # looked at in one round of `retain`
HIDE_DOCUMENTS = 1_000  # of a store that is gone, in one transaction

_SQL = queries.load("knowledge")


class NewStore(Struct, frozen=True, kw_only=True):
    """A store that is about to be made."""

    id: str
    owner: str
    name: str
    description: str
    mode: str
    embedder: str
    metadata: str
    expires_days: int | None


class Change(Struct, frozen=True, kw_only=True):
    """What of a store is to be another; UNSET stays."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: str | UnsetType = UNSET
    expires_days: int | UnsetType | None = UNSET


class Page(Struct, frozen=True):
    """Which part of a list. An id that is not there bounds nothing."""

    limit: int
    after: str = ""
    before: str = ""
    oldest_first: bool = False


def create(database: Database, new: NewStore, stores_max: int, now_s: float) -> Store:
    """The store. Raises RateLimited when the owner has `stores_max`."""
    row = {**msgspec.structs.asdict(new), "now_s": now_s}
    if int(database.rows(_SQL["count_stores"], row)[0]["stores"]) >= stores_max:
        raise RateLimited(
            f"You have {stores_max} vector stores, as many as you may (knowledge.stores_max). Delete"
            " some."
        )
    database.run(_SQL["add_store"], row)
    return read(database, new.id, new.owner)


def read(database: Database, store_id: str, owner: str) -> Store:
    """A store without its sums. Raises NotFound."""
    return _one(database.rows(_SQL["read_store"], {"id": store_id, "owner": owner}))


def lock(database: Database, store_id: str, owner: str) -> Store:
    """The same, which nobody else changes before the transaction ends."""
    return _one(database.rows(_SQL["lock_store"], {"id": store_id, "owner": owner}))


def find(database: Database, name_or_id: str, owner: str) -> Store:
    """A store by its id, else the oldest one of this name. Raises NotFound."""
    found = database.rows(_SQL["read_store"], {"id": name_or_id, "owner": owner})
    if not found:
        found = database.rows(_SQL["read_store_named"], {"name": name_or_id, "owner": owner})
    return _one(found)


def summed(database: Database, store: Store) -> Store:
    """The store with its documents, chunks and bytes."""
    counts, chunks, size = sums(database.rows(_SQL["sum_documents"], {"id": store.id}))
    return msgspec.structs.replace(store, documents=counts, chunks=chunks, bytes=size)


def sums(rows: list[dict[str, Any]]) -> tuple[Counts, int, int]:
    """Documents by status, chunks, bytes."""
    counts = Counts(**{row["status"]: row["documents"] for row in rows})
    return counts, sum(row["chunks"] for row in rows), sum(row["bytes"] for row in rows)


def listed(database: Database, owner: str, page: Page) -> list[Store]:
    """Stores of an owner with their sums."""
    newest = not page.oldest_first
    above, below = (page.before, page.after) if newest else (page.after, page.before)
    wanted = {"owner": owner, "above": above, "below": below, "limit": page.limit}
    query = _SQL["newest_stores" if newest else "oldest_stores"]
    return [summed(database, _store(row)) for row in database.rows(query, wanted)]


def change(database: Database, store_id: str, owner: str, said: Change, now_s: float) -> Store:
    """The store as it is now. Raises NotFound."""
    store = lock(database, store_id, owner)
    row = {
        "id": store_id,
        "owner": owner,
        "name": store.name,
        "description": store.description,
        "metadata": store.metadata,
        "expires_days": store.expires_days,
        "now_s": now_s,
    }
    new = msgspec.structs.asdict(said)
    row |= {name: value for name, value in new.items() if value is not UNSET}
    database.run(_SQL["change_store"], row)
    return summed(database, read(database, store_id, owner))


def touch(database: Database, store: Store, now_s: float) -> None:
    """The store was used."""
    row = {"id": store.id, "owner": store.owner, "now_s": now_s, "before_s": now_s - TOUCH_S}
    database.run(_SQL["touch_store"], row)


def hide(database: Database, store_id: str, owner: str) -> None:
    """The store is gone for its owner. Raises NotFound."""
    if not database.run(_SQL["hide_store"], {"id": store_id, "owner": owner}):
        raise gone()


def switch(database: Database, store: Store, embedder: Embedder, generation: int) -> None:
    """Searches use this generation, made by this embedder. Raises NotFound when another was faster."""
    row = {
        "id": store.id,
        "owner": store.owner,
        "embedder": embedder.model,
        "dimensions": embedder.dimensions,
        "embedder_version": embedder.version,
        "generation": generation,
        "before": store.generation,
    }
    if not database.run(_SQL["switch_store"], row):
        raise gone()


def hide_expired(database: Database, now_s: float) -> int:
    """The number of stores that are gone because nobody used them."""
    return database.run(_SQL["hide_expired"], {"now_s": now_s, "limit": SWEEP_STORES})


def clear_gone(database: Database) -> list[str]:
    """Stores that are gone and not deleted yet; their documents are gone now, too, some of them."""
    found = [row["id"] for row in database.rows(_SQL["stores_gone"], {"limit": SWEEP_STORES})]
    for store_id in found:
        few = {"id": store_id, "limit": HIDE_DOCUMENTS}
        database.run(_SQL["hide_all"], few)
        database.run(_SQL["drop_store_batches"], few)
        database.run(_SQL["drop_store"], few)
    return found


def gone() -> NotFound:
    """There is no such store, or it is somebody else's."""
    return NotFound(
        "There is no vector store with this id. GET /v1/vector_stores lists yours.",
        param="vector_store_id",
    )


def _one(found: list[dict[str, Any]]) -> Store:
    if not found:
        raise gone()
    return _store(found[0])


def _store(row: dict[str, Any]) -> Store:
    made = Embedder(row["embedder"], row["dimensions"], row["embedder_version"])
    names = ("embedder", "dimensions", "embedder_version")
    bare = {name: value for name, value in row.items() if name not in names}
    return Store(embedder=made, **bare)
