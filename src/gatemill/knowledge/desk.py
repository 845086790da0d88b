"""Vector stores and their documents: what the door and the jobs share.

Rule: what is refused leaves nothing behind; a file that cannot be read is a document that failed and says why.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.call import Call, Head
from gatemill.core.errors import (
    Conflict,
    ExtraNotInstalled,
    InvalidValue,
    MissingParameter,
    ModelNotFound,
    NotFound,
    RequestTooLarge,
)
from gatemill.core.job import owner_of
from gatemill.gateway.plan import plan
from gatemill.knowledge.extracting.pdf import INSTALL
from gatemill.knowledge.extracting.reading import Reading
from gatemill.knowledge.ingesting import Ingesting
from gatemill.knowledge.retrieval import Search
from gatemill.ledger.knowledge.documents import NewDocument
from gatemill.ledger.knowledge.rows import HYBRID, KEYWORD
from gatemill.ledger.knowledge.stores import NewStore
from gatemill.local.builtin import cards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.knowledge.extracting.limits import Limits
    from gatemill.knowledge.ingesting import Terms
    from gatemill.ledger.files import File
    from gatemill.ledger.knowledge.rows import Store
    from gatemill.ledger.ledger import Ledger

MODES = ("auto", KEYWORD, HYBRID)
FILES_MAX = 2_000  # added at once, as OpenAI has it
_SHOWN_CHARS = 60  # of an id that is repeated in a message


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A store as it is asked for."""

    name: str = ""
    description: str = ""
    mode: str = "auto"  # one of MODES
    embedding_model: str | None = None  # None: that of the options
    metadata: str = "{}"
    expires_days: int | None = None


class Desk:
    """One for the house."""

    def __init__(
        self,
        ledger: Ledger,
        gateway: Gateway,
        terms: Terms,
        limits: Limits,
        answers: tuple[str, int],
    ) -> None:
        """`answers` are the model that answers and the tokens of its passages, unless a caller says more."""
        self.store = ledger.knowledge
        self.search = Search(ledger.knowledge, gateway.now)
        self.answer_model, self.context_tokens = answers
        self.terms = terms
        self.ingesting = Ingesting(ledger, Reading(limits), terms, self.window, gateway.now)
        self._ledger = ledger
        self._gateway = gateway

    # --- Stores ----------------------------------------------------------------------------------

    async def find(self, name_or_id: str, key: Key, param: str) -> Store:
        """A store of the key's owner. Raises NotFound, which names `param`."""
        try:
            return await self.store.find(name_or_id, owner_of(key))
        except NotFound as error:
            raise NotFound(error.message, param=param) from None

    async def create(self, key: Key, store_id: str, wanted: Wanted) -> Store:
        """A new store of the key's owner. Raises InvalidValue, ModelNotFound, RateLimited."""
        embedder = self.terms.embedding_model
        if wanted.embedding_model is not None:
            embedder = wanted.embedding_model
        if wanted.mode == HYBRID and not embedder:
            raise MissingParameter(
                "`embedding_model`: a hybrid store needs one. Name an embedding model, or set"
                " knowledge.embedding_model.",
                param="embedding_model",
            )
        if wanted.mode == KEYWORD:
            embedder = ""
        if embedder:
            self.check_model(key, embedder)
        new = NewStore(
            id=store_id,
            owner=owner_of(key),
            name=wanted.name,
            description=wanted.description,
            mode=HYBRID if embedder else KEYWORD,
            embedder=embedder,
            metadata=wanted.metadata,
            expires_days=wanted.expires_days,
        )
        return await self.store.create(new, self.terms.stores_max)

    def check_model(self, key: Key, model: str) -> None:
        """The key may ask this embedding model. Raises InvalidValue, ModelNotFound."""
        now_s = self._gateway.now()
        call = Call(
            id="",
            operation="embeddings",
            body=b"{}",
            head=Head(model=model),
            started_s=now_s,
            deadline_s=now_s,
            key=key,
        )
        try:
            plan(self._gateway.routes, key, call, now_s)
        except ModelNotFound as error:
            error.param = "embedding_model"  # the field that the caller knows
            raise
        route = self._gateway.routes.find(model)
        for target in route.targets if route else ():
            card = cards.CARDS.get(target.model) if target.provider == cards.PROVIDER else None
            if card is not None and card.task != "embed":
                raise InvalidValue(
                    f"`embedding_model`: {target.label} makes no vectors. Name an embedding model.",
                    param="embedding_model",
                )

    def window(self, model: str) -> int | None:
        """How many tokens a model reads, at least; None when it is not known."""
        route = self._gateway.routes.find(model)
        known = [target.context_tokens for target in route.targets] if route else []
        return min((tokens for tokens in known if tokens), default=None)

    # --- Documents -------------------------------------------------------------------------------

    async def check_room(self, store: Store, documents: int) -> None:
        """There is room for so many more documents. Raises Conflict, RequestTooLarge."""
        terms = self.terms
        if store.documents.total + documents > terms.documents_max:
            raise Conflict(
                f"The store would have more than {terms.documents_max} documents"
                " (knowledge.documents_max). Make another one.",
                param="vector_store_id",
            )
        if await self.store.owned_bytes(store.owner) > terms.bytes_max_per_owner:
            raise RequestTooLarge(
                "Your stores hold as many bytes as they may (knowledge.bytes_max_per_owner). Delete"
                " some documents.",
                param="vector_store_id",
            )

    async def files(self, owner: str, file_ids: Sequence[str], param: str) -> list[File]:
        """Files of this owner, each once. Raises NotFound, InvalidValue, ExtraNotInstalled."""
        if not 1 <= len(file_ids) <= FILES_MAX:
            raise InvalidValue(f"`{param}`: send 1 to {FILES_MAX} ids of files.", param=param)
        if len(set(file_ids)) < len(file_ids):
            raise InvalidValue(f"`{param}`: an id stands twice. Send each once.", param=param)
        found = [await self._file(one, owner, param) for one in file_ids]
        if any(file.filename.lower().endswith(".pdf") for file in found):
            check_pdf()
        return found

    async def _file(self, file_id: str, owner: str, param: str) -> File:
        try:
            return await self._ledger.files.get(file_id, owner)
        except NotFound as error:
            raise NotFound(
                f"`{param}`: there is no file {file_id[:_SHOWN_CHARS]!r}. GET /v1/files lists yours.",
                param=param,
            ) from error


def check_pdf() -> None:
    """PDF can be read here. Raises ExtraNotInstalled."""
    if importlib.util.find_spec("pypdf") is None:
        raise ExtraNotInstalled(f"Reading PDF needs another package: {INSTALL}")


def of_file(file: File, attributes: str, chunking: str) -> NewDocument:
    """A file as a document of a store."""
    return NewDocument(id=file.id, title=file.filename, attributes=attributes, chunking=chunking)
