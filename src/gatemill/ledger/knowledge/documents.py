"""Documents of stores in the database. Rule: functions of an open database; the caller has the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import NotFound
from gatemill.ledger import queries
from gatemill.ledger.jobs import inserting
from gatemill.ledger.knowledge import stores
from gatemill.ledger.knowledge.rows import CANCELLED, FAILED, Counts, Document, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.job import NewJob
    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.engines import Engine
    from gatemill.ledger.knowledge.stores import Page

DROP_CHUNKS = 200  # in one transaction
SWEEP_DOCUMENTS = 100  # looked at in one round of `retain`
ORPHAN_S = 900.0  # without a sign of life of whoever reads a document in
_ORPHANED = "Whoever read this document in has ended. Add it again."
_LAST = 1 << 62  # above every number
_SQL = queries.load("knowledge")


class NewDocument(Struct, frozen=True, kw_only=True):
    """A document that is about to be read in."""

    id: str
    title: str
    attributes: str = "{}"
    chunking: str = "{}"
    is_file: bool = True


class Batch(Struct, frozen=True, kw_only=True):
    """Files that were added together."""

    id: str
    store_id: str
    job_id: str
    created_at: float
    cancelled: bool
    documents: Counts = Counts()


class Filling(Struct, frozen=True):
    """On whose behalf documents are read in."""

    job: NewJob | None = None  # inserted with them
    job_id: str = ""  # of a job that is there already; "": whoever adds them waits for them
    batch_id: str = ""  # of files added together; "": they are shown one by one


def take(database: Database, name: str, count: int) -> int:
    """The first of `count` numbers that nobody else has."""
    row = {"name": name, "count": count}
    return int(database.rows(_SQL["take_numbers"], row)[0]["value"]) - count + 1


def begin(
    database: Database, store: Store, new: Sequence[NewDocument], filling: Filling, now_s: float
) -> list[Document]:
    """Documents that are being read in; those of the same ids are gone. Raises NotFound."""
    stores.lock(database, store.id, store.owner)
    replaced = 0
    for one in new:
        replaced += database.run(_SQL["hide_document"], {"store_id": store.id, "id": one.id})
    job = filling.job
    first = take(database, "document", len(new))
    job_id = job.id if job else filling.job_id
    more = {"store_id": store.id, "batch_id": filling.batch_id, "job_id": job_id}
    rows = [
        {**msgspec.structs.asdict(one), **more, "number": first + at, "created_at": now_s}
        for at, one in enumerate(new)
    ]
    add = _SQL["add_document"]
    database.run_many(
        add, [tuple({**row, "touched_at": now_s}[p] for p in add.params) for row in rows]
    )
    if filling.batch_id:
        batch = {
            "id": filling.batch_id,
            "store_id": store.id,
            "job_id": more["job_id"],
            "now_s": now_s,
        }
        database.run(_SQL["add_batch"], batch)
    if job is not None:
        inserting.insert(database, job, now_s)
    database.run(_SQL["revise_store"], {"id": store.id, "now_s": now_s})
    return [msgspec.convert({**row, "status": "in_progress"}, Document) for row in rows]


def read(database: Database, store: Store, document_id: str) -> Document:
    """A document of a store. Raises NotFound."""
    wanted = {"store_id": store.id, "owner": store.owner, "id": document_id}
    found = database.rows(_SQL["read_document"], wanted)
    if not found:
        raise _gone()
    return _document(found[0])


def listed(
    database: Database, store: Store, page: Page, status: str = "", batch_id: str = ""
) -> list[Document]:
    """Documents of a store; "" is any status, or any batch."""
    after, before = _place(database, store, page.after), _place(database, store, page.before)
    if page.oldest_first:
        above, below = after or 0, before or _LAST
    else:
        above, below = before or 0, after or _LAST
    wanted = {
        "store_id": store.id,
        "owner": store.owner,
        "above": above,
        "below": below,
        "limit": page.limit,
        "status": status,
        "batch_id": batch_id,
    }
    query = _SQL["oldest_documents" if page.oldest_first else "newest_documents"]
    return [_document(row) for row in database.rows(query, wanted)]


def _place(database: Database, store: Store, document_id: str) -> int:
    if not document_id:
        return 0
    wanted = {"store_id": store.id, "owner": store.owner, "id": document_id}
    found = database.rows(_SQL["read_document"], wanted)
    return int(found[0]["number"]) if found else 0


def of_job(database: Database, store: Store, job_id: str, limit: int) -> list[Document]:
    """Documents that a job reads in."""
    wanted = {"store_id": store.id, "job_id": job_id, "limit": limit}
    return [_document(row) for row in database.rows(_SQL["job_documents"], wanted)]


def set_attributes(
    database: Database, store: Store, document_id: str, attributes: str, now_s: float
) -> Document:
    """The document as it is now. Raises NotFound."""
    stores.lock(database, store.id, store.owner)
    document = read(database, store, document_id)
    database.run(_SQL["change_attributes"], {"number": document.number, "attributes": attributes})
    database.run(_SQL["revise_store"], {"id": store.id, "now_s": now_s})
    return msgspec.structs.replace(document, attributes=attributes)


def hide(database: Database, store: Store, document_id: str, now_s: float) -> Document:
    """The document, which is gone for its owner. Raises NotFound."""
    stores.lock(database, store.id, store.owner)
    document = read(database, store, document_id)
    database.run(_SQL["hide_document"], {"store_id": store.id, "id": document_id})
    database.run(_SQL["revise_store"], {"id": store.id, "now_s": now_s})
    return document


def forget_file(database: Database, file_id: str, owner: str, now_s: float) -> None:
    """A file that was deleted is in no store of its owner any more."""
    wanted = {"file_id": file_id, "owner": owner}
    for row in database.rows(_SQL["stores_of_file"], wanted):
        if not database.rows(_SQL["lock_store"], {"id": row["id"], "owner": owner}):
            continue  # the store went at the same moment
        database.run(_SQL["hide_document"], {"store_id": row["id"], "id": file_id})
        database.run(_SQL["revise_store"], {"id": row["id"], "now_s": now_s})


def batch(database: Database, store: Store, batch_id: str) -> Batch:
    """A batch of files with its counts. Raises NotFound."""
    wanted = {"id": batch_id, "store_id": store.id}
    found = database.rows(_SQL["read_batch"], wanted)
    if not found:
        raise NotFound("There is no batch of files with this id in this store.", param="batch_id")
    counts, _, _ = stores.sums(database.rows(_SQL["sum_batch"], wanted))
    row = {**found[0], "cancelled": bool(found[0]["cancelled"])}
    return Batch(**row, documents=counts)


def cancel_batch(database: Database, store: Store, batch_id: str, now_s: float) -> Batch:
    """The batch, none of whose files is read in any more. Raises NotFound."""
    batch(database, store, batch_id)
    wanted = {"id": batch_id, "store_id": store.id, "now_s": now_s}
    database.run(_SQL["cancel_batch"], wanted)
    database.run(_SQL["cancel_documents"], wanted)
    return batch(database, store, batch_id)


def end(
    database: Database, number: int, status: str, code: str, message: str, now_s: float
) -> bool:
    """The document is read in, or cannot be; False: it was cancelled or deleted meanwhile."""
    row = {
        "number": number,
        "status": status,
        "error_code": code,
        "error_message": message,
        "now_s": now_s,
    }
    return database.run(_SQL["end_document"], row) > 0


def end_orphans(database: Database, now_s: float) -> int:
    """The number of documents that nobody reads in any more, and that are ended for that."""
    wanted = {"before_s": now_s - ORPHAN_S, "limit": SWEEP_DOCUMENTS}
    found = database.rows(_SQL["documents_orphaned"], wanted)
    for row in found:
        if row["state"] == "cancelled":
            end(database, row["number"], CANCELLED, "", "", now_s)
        else:
            end(database, row["number"], FAILED, "server_error", _ORPHANED, now_s)
    return len(found)


def drop_some(database: Database, engine: Engine, number: int) -> bool:
    """Some passages of a document are deleted; False: that were all."""
    few = {"document": number, "limit": DROP_CHUNKS}
    engine.drop_words(database, number, DROP_CHUNKS)
    database.run(_SQL["drop_vectors"], few)
    return database.run(_SQL["drop_chunks"], few) == DROP_CHUNKS


def drop(database: Database, number: int) -> None:
    """A document that is gone and has no passages is forgotten."""
    database.run(_SQL["drop_document"], {"document": number})


def gone_numbers(database: Database) -> list[int]:
    """Documents that are yet to be deleted, some of them."""
    found = database.rows(_SQL["documents_gone"], {"limit": SWEEP_DOCUMENTS})
    return [row["number"] for row in found]


def _document(row: dict[str, Any]) -> Document:
    return Document(**{**row, "is_file": bool(row["is_file"])})


def _gone() -> NotFound:
    return NotFound("There is no such document in this store.", param="file_id")
