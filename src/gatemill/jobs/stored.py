"""Texts that a caller has stored, for kinds that read documents: files, and what is in a vector store.

Rule: what belongs to somebody else is not there. Which documents a job reads is decided once, in a
step; one that cannot be read, or is gone when its turn comes, fails alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from gatemill.core.errors import GatemillError, InvalidValue, MissingParameter, RequestTooLarge
from gatemill.core.job import Problem
from gatemill.gateway.identify import permit
from gatemill.jobs.fanout import is_of_item
from gatemill.jobs.runner import problem_of
from gatemill.knowledge.extracting.limits import UnreadableError
from gatemill.ledger.knowledge.rows import COMPLETED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Key
    from gatemill.jobs.context import Context
    from gatemill.jobs.prompting import Document

DOCUMENTS_MAX = 2000  # of one job
TEXT_BYTES_MAX = 128 << 20  # of all their texts, which are in memory at once
SCOPE_OF_STORES = "knowledge"
_PAGE = 500
FileIds = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=2000)]
StoreName = Annotated[str, Meta(max_length=256)]


class Place(Struct, frozen=True):
    """Where a stored text is."""

    id: str  # of the file, or of the document in its store
    title: str  # "" for a file, which has its own
    store: str = ""  # id of the vector store; "" for a file


class Given(Struct, frozen=True):
    """A document to read, or why it cannot be read."""

    id: str
    title: str = ""  # "" for one that came with the job
    text: str = ""
    problem: Problem | None = None


def check(documents: Sequence[Document], file_ids: Sequence[str], store: str, key: Key) -> None:
    """Some documents are named, no file twice, and no store by a key that may not read it.

    Raises MissingParameter, InvalidValue and PermissionDenied.
    """
    if store:
        permit(key, SCOPE_OF_STORES)
    if not (documents or file_ids or store):
        raise MissingParameter(
            "`documents`: is required. Send texts, or name `file_ids` or a `vector_store_id`.",
            param="documents",
        )
    if len(set(file_ids)) < len(file_ids):
        raise InvalidValue("`file_ids`: names a file twice. Name each once.", param="file_ids")


def named(given: Given) -> dict[str, Any]:
    """The `id` of a document in a result, with its `title` where it has one."""
    return {"id": given.id, "title": given.title} if given.title else {"id": given.id}


async def given(
    ctx: Context, documents: Sequence[Document], file_ids: Sequence[str], store: str
) -> list[Given]:
    """All documents with their texts: those of the job, the files, and all of the store.

    Raises NotFound for a store that is not there, PermissionDenied where its key may not read stores
    any more, RequestTooLarge for too many or too long documents.
    """
    if store:
        permit(ctx.key, SCOPE_OF_STORES)
    found = [Given(document.id, text=document.text) for document in documents]
    if not (file_ids or store):
        return found

    async def places() -> list[Place]:
        return [Place(each, "") for each in file_ids] + await _of_store(ctx, store)

    kept: list[Place] = await ctx.step("documents", places, list[Place])
    if len(found) + len(kept) > DOCUMENTS_MAX:
        raise RequestTooLarge(
            f"There are {len(found) + len(kept)} documents; one job reads {DOCUMENTS_MAX}. Split it.",
            param="vector_store_id",
        )
    left = TEXT_BYTES_MAX
    for place in kept:
        one = await _read(ctx, place)
        left -= len(one.text.encode())
        if left < 0:
            raise RequestTooLarge(
                f"The documents have more than {TEXT_BYTES_MAX} bytes of text. Split the job.",
                param="file_ids" if file_ids else "vector_store_id",
            )
        found.append(one)
    return found


async def _of_store(ctx: Context, name: str) -> list[Place]:
    if not name:
        return []
    knowledge = ctx.services.ledger.knowledge
    store = await knowledge.find(name, ctx.job.owner)
    found: list[Place] = []
    after = ""
    while True:
        some = await knowledge.documents(store, _PAGE, after, COMPLETED)
        found += [Place(each.id, each.title, store.id) for each in some]
        if len(some) < _PAGE or len(found) > DOCUMENTS_MAX:
            return found
        after = some[-1].id


async def _read(ctx: Context, place: Place) -> Given:
    """A document, or why it cannot be read. Raises what may pass."""
    ledger, owner, title = ctx.services.ledger, ctx.job.owner, place.title
    try:
        if place.store:
            store = await ledger.knowledge.find(place.store, owner)
            return Given(place.id, title, await ledger.knowledge.document_text(store, place.id))
        title = (await ledger.files.get(place.id, owner)).filename
        reader = ctx.services.rooms.knowledge.ingesting
        return Given(place.id, title, await reader.file_text(place.id, owner))
    except UnreadableError as error:
        problem = Problem(error.code, error.message, "file_ids")
    except GatemillError as error:
        if not is_of_item(error):
            raise
        problem = problem_of(error)
    return Given(place.id, title, problem=problem)
