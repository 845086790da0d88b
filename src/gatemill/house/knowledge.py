"""[knowledge] -> the desk of vector stores, and its numbers. Rule: values only; nothing is opened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gatemill.knowledge.desk import Desk
from gatemill.knowledge.extracting.limits import Limits
from gatemill.knowledge.ingesting import Terms
from gatemill.observe.metrics import Labelled

if TYPE_CHECKING:
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger
    from gatemill.observe.metrics import Meter
    from gatemill.settings.model import Settings


def knowledge_of(settings: Settings, ledger: Ledger, gateway: Gateway) -> Desk:
    """The desk of these settings."""
    said = settings.knowledge
    ledger.knowledge.matrices.bytes_max = said.vectors_bytes
    terms = Terms(
        embedding_model=said.embedding_model,
        stores_max=said.stores_max,
        bytes_max_per_owner=said.bytes_max_per_owner,
        documents_max=said.documents_max,
        chunks_max=said.chunks_max,
        document_chunks_max=said.document_chunks_max,
        inline_bytes=said.inline_bytes,
    )
    limits = Limits(
        file_bytes=said.file_bytes,
        text_bytes=said.text_bytes,
        pdf_pages=said.pdf_pages,
        timeout_s=said.extract_timeout_s,
        memory_bytes=said.extract_bytes,
    )
    return Desk(ledger, gateway, terms, limits, (said.answer_model, said.context_tokens))


def export_knowledge(meter: Meter, desk: Desk) -> None:
    """The counts of ingestion and search become metrics."""
    counters, vectors = desk.store.counters, desk.store.matrices.counters
    for name, text in _INGESTED.items():
        meter.counters[f"gatemill_knowledge_{name}"] = (text, partial(getattr, counters, name))
    for name, text in _VECTORS.items():
        meter.counters[f"gatemill_knowledge_vectors_{name}"] = (
            text,
            partial(getattr, vectors, name),
        )
    meter.gauges["gatemill_knowledge_vectors_bytes"] = (
        "Memory of the vectors that are kept for searches.",
        lambda: vectors.bytes,
    )
    meter.labelled_counters["gatemill_knowledge_degraded"] = Labelled(
        "Searches that went on without a part that failed.",
        ("part",),
        lambda: desk.search.degraded,
    )


_INGESTED = {
    "documents": "Documents read in.",
    "documents_failed": "Documents that could not be read in.",
    "chunks": "Passages stored.",
    "ingest_seconds": "Time spent on reading documents in.",
}
_VECTORS = {
    "hits": "Searches whose vectors were in memory.",
    "loads": "Stores whose vectors were loaded.",
    "evictions": "Stores whose vectors made room for others'.",
    "scans": "Searches of stores whose vectors do not fit in memory; raise knowledge.vectors_bytes.",
}
