"""POST /v1/rag/query: an answer from one's own documents, with the passages that it rests on.

Rule: a mistake of the caller's is refused before anything is searched or paid for.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.edge import hot
from gatemill.edge.flow import Flow
from gatemill.edge.knowledge.inquiry import Inquiries, Reading
from gatemill.knowledge.answering import Answering, Question
from gatemill.knowledge.retrieval import Rerank, Wanted
from gatemill.ledger.knowledge import filters
from gatemill.wire import fields, sse
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.edge.application import Application
    from gatemill.edge.hot import Answer
    from gatemill.edge.knowledge.inquiry import Inquiry
    from gatemill.edge.shown import Shown
    from gatemill.knowledge.asking import Asking
    from gatemill.knowledge.retrieval import Found

PATH = "/v1/rag/query"
CANDIDATES = 30  # that are reranked, where the caller does not say
_encode = msgspec.json.Encoder().encode
_Name = Annotated[str, Meta(min_length=1, max_length=256)]


class Reranking(Struct, frozen=True, forbid_unknown_fields=True):
    """How the passages are put in order."""

    method: Literal["none", "mmr", "model"] = "none"
    model: _Name | None = None
    candidates: Annotated[int, Meta(ge=1, le=200)] | None = None
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = None


class Turn(Struct, frozen=True, forbid_unknown_fields=True):
    """An earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(min_length=1, max_length=100_000)]


class RagAsked(Struct, frozen=True):
    """The body of a question."""

    query: Annotated[str, Meta(min_length=3, max_length=4000)]
    store: _Name  # id or name
    top_k: Annotated[int, Meta(ge=1, le=50)] = 5
    rerank: Reranking | None = None
    mode: Literal["auto", "keyword", "hybrid", "dense"] = "auto"
    filters: Any = None
    model: _Name | None = None
    prompt: _Name | None = None
    prompt_variables: dict[str, Any] | None = None
    history: Annotated[list[Turn], Meta(max_length=100)] | None = None
    stream: bool = False
    answer: bool = True
    max_context_tokens: Annotated[int, Meta(ge=100, le=1_000_000)] | None = None


_READING = Reading(
    RagAsked,
    {
        "query": "Send 3 to 4000 characters.",
        "store": "Send the id or the name of a vector store.",
        "top_k": "Send 1 to 50.",
        "candidates": "Send `top_k` to 200.",
        "method": "Use none, mmr or model.",
        "min_score": "Send 0 to 1.",
        "mode": "Use auto, keyword, hybrid or dense.",
        "role": "Use user or assistant.",
        "max_context_tokens": "Send 100 to 1000000.",
    },
)


def add(app: Application, shown: Shown) -> None:
    """The route."""
    inquiries = Inquiries(shown)

    async def query(request: Request) -> Response:
        return await inquiries.take(request, "rag", _READING, _answered)

    app.add_api_route(PATH, query, methods=["POST"], **describe.route("rag_query"))
    # The same for the dashboard.
    app.add_api_route(
        "/ui/knowledge/answer", query, methods=["POST"], name="ui_rag", include_in_schema=False
    )


async def _answered(inquiry: Inquiry, asked: RagAsked) -> Answer:
    wanted = _wanted(asked)
    store = await inquiry.store(asked.store, "store")
    await inquiry.asking.check("rag", fields.encode({"query": asked.query}))
    found = await inquiry.desk.search.run(store, wanted, inquiry.asking)
    question = Question(
        text=asked.query,
        model=asked.model or inquiry.desk.answer_model,
        context_tokens=asked.max_context_tokens or inquiry.desk.context_tokens,
        prompt=asked.prompt or "",
        variables=asked.prompt_variables or {},
        history=tuple({"role": turn.role, "content": turn.content} for turn in asked.history or ()),
    )
    answering = Answering(inquiry.asking, question, found.passages)
    if asked.stream:
        return await _streamed(inquiry, found, answering)
    if asked.answer:
        await answering.whole()
    told = {
        **await _found(inquiry.asking, found, answering),
        "answer": answering.text if asked.answer else None,
        "model": answering.model if asked.answer else None,
        **_spent(inquiry.asking, found, answering),
    }
    return inquiry.answer(told)


def _wanted(asked: RagAsked) -> Wanted:
    """Raises InvalidValue."""
    if not asked.query.strip():
        raise InvalidValue("`query`: is empty. Ask something.", param="query")
    if asked.stream and not asked.answer:
        raise InvalidValue(
            "`stream`: without an answer there is nothing to stream. Leave one of both out.",
            param="stream",
        )
    if asked.prompt_variables and not asked.prompt:
        raise InvalidValue(
            "`prompt_variables`: belong to a prompt. Name it in `prompt`.", param="prompt_variables"
        )
    rerank = asked.rerank or Reranking()
    if rerank.model and rerank.method != "model":
        raise InvalidValue(
            "`rerank.model`: is asked only by the method model. Set `rerank.method`.",
            param="rerank.model",
        )
    candidates = rerank.candidates or max(CANDIDATES, asked.top_k)
    if candidates < asked.top_k:
        raise InvalidValue(
            f"`rerank.candidates`: must be at least top_k, which is {asked.top_k}.",
            param="rerank.candidates",
        )
    return Wanted(
        queries=(asked.query,),
        count=asked.top_k,
        mode=asked.mode,
        candidates=candidates,
        rerank=Rerank(rerank.method, rerank.model or "", rerank.min_score),
        where=filters.read(asked.filters),
    )


async def _streamed(inquiry: Inquiry, found: Found, answering: Answering) -> Answer:
    """Raises what refuses the caller at once; the answer is then no stream."""
    request_id = inquiry.asking.request_id
    events = _events(inquiry.asking, found, answering)
    # Begun here, so that it ends what it has begun also when nobody comes to read it.
    first = await anext(events)
    headers = hot.STREAM + b"x-request-id: %b\r\n" % request_id.encode()
    stream = Flow(_after(first, events), request_id)
    return hot.Answer(200, headers, b"", stream, inquiry.operation, "openai", request_id)


async def _events(
    asking: Asking, found: Found, answering: Answering
) -> AsyncGenerator[bytes, None]:
    try:
        await answering.open()
        yield sse.event(_encode(await _found(asking, found, answering)), "citations")
        async with aclosing(answering.events()) as chunks:
            async for chunk in chunks:
                yield chunk
        done = {"id": asking.request_id, "model": answering.model}
        yield sse.event(_encode({**done, **_spent(asking, found, answering)}), "done")
    finally:
        await answering.close()


async def _after(first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        yield first
        async for event in events:
            yield event


async def _found(asking: Asking, found: Found, answering: Answering) -> dict[str, Any]:
    """What is known before there is an answer. Raises ContentBlocked for what guards let nobody see."""
    told = {
        "id": asking.request_id,
        "object": "rag.answer",
        "mode": found.mode,
        "degraded": found.degraded,
        "citations": [
            {
                "n": number,
                "file_id": passage.document_id,
                "title": passage.title,
                "chunk_id": passage.chunk_id,
                "start": passage.start,
                "end": passage.end,
                "score": passage.score,
                "text": passage.text,
            }
            for number, passage in enumerate(answering.given, 1)
        ],
        "retrieved": [
            {
                "chunk_id": passage.chunk_id,
                "bm25_rank": passage.keyword_rank,
                "dense_rank": passage.dense_rank,
                "rerank_score": passage.rerank_score,
            }
            for passage in found.passages
        ],
    }
    return await asking.shown("rag", told)


def _spent(asking: Asking, found: Found, answering: Answering) -> dict[str, Any]:
    """What is known once there is one."""
    spent = asking.spent
    cost = spent.cost_microusd
    return {
        "cited": answering.cited,
        "usage": {
            "prompt_tokens": spent.input_tokens,
            "completion_tokens": spent.output_tokens,
            "total_tokens": spent.input_tokens + spent.output_tokens,
            "calls": spent.calls,
        },
        "cost_usd": None if cost is None else usd(cost),
        "timings_ms": {
            "retrieve": round(found.retrieve_ms, 3),
            "rerank": round(found.rerank_ms, 3),
            "generate": round(answering.generate_ms, 3),
        },
    }
