"""Vector stores with passages, put into a ledger without reading any file in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gatemill.core.job import owner_of
from gatemill.fake_provider.embeddings import embeddings
from gatemill.ledger.knowledge.documents import Filling, NewDocument
from gatemill.ledger.knowledge.filling import Passage
from gatemill.ledger.knowledge.stores import NewStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.ledger.knowledge.rows import Store
    from gatemill.ledger.ledger import Ledger

STORES_MAX = 100


async def filled(
    ledger: Ledger,
    owner: str,
    texts: Mapping[str, Sequence[str]],
    *,
    name: str = "notes",
    embedder: str = "",
    vectors: Mapping[str, Sequence[float]] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Store:
    """A store whose documents (by id) have these passages; vectors by the passage's text."""
    new = NewStore(
        id=f"vs_{name}_{abs(hash(owner)) % 10**6}",
        owner=owner,
        name=name,
        description="",
        mode="hybrid" if embedder else "keyword",
        embedder=embedder,
        metadata="{}",
        expires_days=None,
    )
    knowledge = ledger.knowledge
    store = await knowledge.create(new, STORES_MAX)
    documents = [
        NewDocument(
            id=one,
            title=f"{one}.md",
            attributes=msgspec.json.encode((attributes or {}).get(one, {})).decode(),
            is_file=False,
        )
        for one in texts
    ]
    for document in await knowledge.begin(store, documents, Filling()):
        at, rows = 0, []
        for text in texts[document.id]:
            packed = b""
            if vectors is not None:
                row = np.array(vectors[text], dtype="<f4")
                packed = (row / np.linalg.norm(row)).tobytes()
            rows.append(Passage(at, at + len(text), text, packed))
            at += len(text)
        assert await knowledge.add(document, store, rows)
        assert await knowledge.complete(document, store)
    return await knowledge.store(store.id, owner)


def owner_of_secret(ledger: Ledger, secret: str) -> str:
    """Whose the stores of a key are."""
    key = ledger.identify(secret.encode())
    assert key is not None
    return owner_of(key)


def fake_vector(text: str) -> list[float]:
    """What the fake provider's embedder says of a text."""
    found: list[float] = embeddings({"model": "m", "input": text}, {})["data"][0]["embedding"]
    return found
