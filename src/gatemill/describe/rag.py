"""What the document says of searching and answering. Rule: a row for each route."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter

_TAG = "Knowledge"
_BODY = (400, 404, 408, 413, 415, 429, 502, 504)
_STORE = path_parameter("store_id", "The store's id.", "vs_019aa1b2c3d4e5f60718293a4b5c6d7e")

ROUTES = {
    "vector_store_search": Control(
        "Search a vector store",
        "By words, and by vectors where the store has an embedder; both orders are fused by place."
        " A `ranker` that is the name of a model puts the best fifty in order again. What failed and"
        " was left out stands in `x-gatemill-degraded`. A store of somebody else is one that is not"
        " there.",
        _TAG,
        "VectorStoreSearchPage",
        "VectorStoreSearchNew",
        "POST",
        of=_STORE,
        errors=_BODY,
        sent_back=("x-gatemill-degraded",),
    ),
    "rag_query": Control(
        "Ask your documents",
        "The passages that answer best, numbered, and an answer that cites them. As a stream: the"
        " event `citations`, then chunks as in chat, then the event `done`. Each model that is asked"
        " counts as a request of its own. Nothing found is an answer, too, for which no model is"
        " asked.",
        _TAG,
        "RagAnswer",
        "RagNew",
        "POST",
        errors=_BODY,
        event="RagEvent",
    ),
}
