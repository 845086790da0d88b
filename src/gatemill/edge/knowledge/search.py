"""POST /v1/vector_stores/{id}/search, as OpenAI defines it.

Rule: what OpenAI's object has no field for is said in a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.edge.knowledge.inquiry import Inquiries, Reading
from gatemill.knowledge.retrieval import Rerank, Wanted
from gatemill.ledger.knowledge import filters
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.hot import Answer
    from gatemill.edge.knowledge.inquiry import Inquiry
    from gatemill.edge.shown import Shown
    from gatemill.knowledge.retrieval import Found, Passage

PATH = "/v1/vector_stores/{store_id}/search"
CANDIDATES = 50  # of each order; the most that one search answers
QUERY_CHARS_MAX = 4096
# OpenAI's words for "as you see fit", and for "as they were found": here both are the fused order.
_RANKERS = ("auto", "none", "default-2024-11-15")
_Query = Annotated[str, Meta(min_length=1, max_length=QUERY_CHARS_MAX)]


class Ranking(Struct, frozen=True, forbid_unknown_fields=True):
    """OpenAI's ranking options."""

    ranker: Annotated[str, Meta(min_length=1, max_length=200)] = "auto"
    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0


class SearchAsked(Struct, frozen=True):
    """The body of a search."""

    query: _Query | Annotated[list[_Query], Meta(min_length=1, max_length=16)]
    max_num_results: Annotated[int, Meta(ge=1, le=50)] = 10
    filters: Any = None
    ranking_options: Ranking | None = None
    rewrite_query: bool = False


_READING = Reading(
    SearchAsked,
    {
        "query": "Send a text of 1 to 4096 characters, or up to 16 of them.",
        "max_num_results": "Send 1 to 50.",
        "score_threshold": "Send 0 to 1.",
    },
)


def add(app: Application, shown: Shown) -> None:
    """The route."""
    inquiries = Inquiries(shown)

    async def search(request: Request, store_id: str) -> Response:
        async def work(inquiry: Inquiry, asked: SearchAsked) -> Answer:
            return await _searched(inquiry, asked, store_id)

        return await inquiries.take(request, "search", _READING, work)

    app.add_api_route(PATH, search, methods=["POST"], **describe.route("vector_store_search"))


async def _searched(inquiry: Inquiry, asked: SearchAsked, store_id: str) -> Answer:
    wanted = _wanted(asked)
    store = await inquiry.store(store_id, "vector_store_id")
    await inquiry.asking.check("search", fields.encode({"query": asked.query}))
    found = await inquiry.desk.search.run(store, wanted, inquiry.asking)
    page = {
        "object": "vector_store.search_results.page",
        "search_query": list(wanted.queries),
        "data": [_result(passage) for passage in found.passages],
        "has_more": False,
        "next_page": None,
    }
    return inquiry.answer(await inquiry.asking.shown("search", page), degraded(found))


def degraded(found: Found) -> bytes:
    """The header that says what was left out; b"" where nothing was."""
    if not found.degraded:
        return b""
    return b"x-gatemill-degraded: %b\r\n" % ", ".join(found.degraded).encode()


def _wanted(asked: SearchAsked) -> Wanted:
    """Raises UnsupportedParameter and InvalidValue."""
    if asked.rewrite_query:
        raise UnsupportedParameter(
            "`rewrite_query`: a query is searched as it is written. Rewrite it before, and leave this out.",
            param="rewrite_query",
        )
    queries = (asked.query,) if isinstance(asked.query, str) else tuple(asked.query)
    if not all(each.strip() for each in queries):
        raise InvalidValue("`query`: is empty. Send the words to look for.", param="query")
    options = asked.ranking_options or Ranking()
    model = "" if options.ranker in _RANKERS else options.ranker
    return Wanted(
        queries=queries,
        count=asked.max_num_results,
        candidates=CANDIDATES,
        rerank=Rerank(
            method="model" if model else "none", model=model, min_score=options.score_threshold
        ),
        where=filters.read(asked.filters),
    )


def _result(passage: Passage) -> dict[str, Any]:
    return {
        "file_id": passage.document_id,
        "filename": passage.title,
        "score": passage.score,
        "attributes": passage.attributes,
        "content": [{"type": "text", "text": passage.text}],
    }
