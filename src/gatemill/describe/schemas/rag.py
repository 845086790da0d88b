"""Searching vector stores, and answers from documents."""

from __future__ import annotations

from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
    flag,
    mapping,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)

_COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_MODES = ("auto", "keyword", "hybrid", "dense")
_QUERY = {**string("The words to look for.", least=1), "maxLength": 4096}
_NAME = {"minLength": 1, "maxLength": 256}
_FILTERS = ref("SearchFilter", "Which documents, by their attributes.")
_SCORE = number("0 to 1.", least=0, most=1)
_PLACE = or_null(whole("Its place there, from 1; null when it is not among them.", least=1))
_CITED = array("Numbers of the citations that the answer cites.", {"type": "integer", "minimum": 1})
_COST = or_null(string("Dollars of all models that were asked; null when a price is unknown."))
_FOUND: dict[str, Json] = {
    "id": string("Our id of the request; those of its calls begin with it."),
    "object": word("Kind of this object.", "rag.answer"),
    "mode": word("How it was searched.", "keyword", "hybrid", "dense"),
    "degraded": array(
        "Models that failed and were done without, with the reason.", {"type": "string"}
    ),
    "citations": array("The passages, as the answer cites them.", ref("RagCitation")),
    "retrieved": array("All that was found, best first.", ref("RagRetrieved")),
}
_SPENT: dict[str, Json] = {
    "cited": _CITED,
    "usage": ref("RagUsage", "Tokens of all models that were asked."),
    "cost_usd": _COST,
    "timings_ms": ref("RagTimings"),
}

SCHEMAS: dict[str, Json] = {
    "SearchFilter": either(
        "OpenAI's filters: one comparison, or several joined by `and` and `or`.",
        [
            asked(
                "One attribute.",
                {
                    "type": word("How to compare.", *_COMPARISONS),
                    "key": string("The attribute."),
                    "value": {"description": "Text, number, true or false; a list for in and nin."},
                },
            ),
            asked(
                "Several.",
                {
                    "type": word("Whether all must hold, or any.", "and", "or"),
                    "filters": array("They.", ref("SearchFilter"), least=1),
                },
            ),
        ],
    ),
    "VectorStoreSearchNew": {
        **asked(
            "What to look for.",
            {
                "query": either(
                    "One query or several; what any of them finds counts.",
                    [_QUERY, array("Several.", _QUERY, least=1, most=16)],
                )
            },
            {
                "max_num_results": whole("Results; 10 by default.", least=1, most=50),
                "filters": _FILTERS,
                "ranking_options": ref("SearchRanking", "How the results are put in order."),
                "rewrite_query": flag("Not done here: refused when true."),
            },
        ),
        "additionalProperties": False,
    },
    "SearchRanking": {
        **asked(
            "How the results are put in order.",
            {},
            {
                "ranker": string("`auto`, `none`, or the name of a rerank model.", least=1),
                "score_threshold": number("Least score; 0 by default.", least=0, most=1),
            },
        ),
        "additionalProperties": False,
    },
    "VectorStoreSearchPage": obj(
        "What was found.",
        {
            "object": word("Kind of this object.", "vector_store.search_results.page"),
            "search_query": array("The queries.", {"type": "string"}),
            "data": array("Results, best first.", ref("VectorStoreSearchResult")),
            "has_more": flag("Always false."),
            "next_page": or_null(string("Always null.")),
        },
    ),
    "VectorStoreSearchResult": obj(
        "One passage.",
        {
            "file_id": string("Its document."),
            "filename": string("The document's name."),
            "score": _SCORE,
            "attributes": mapping("Of the document."),
            "content": array(
                "The passage.",
                obj("A text.", {"type": word("Kind.", "text"), "text": string("The text.")}),
            ),
        },
    ),
    "RagNew": {
        **asked(
            "A question.",
            {
                "query": {**string("The question.", least=3), "maxLength": 4000},
                "store": {**string("A vector store, by its id or name."), **_NAME},
            },
            {
                "top_k": whole("Passages to answer from; 5 by default.", least=1, most=50),
                "rerank": ref("RagRerank", "How the passages are put in order."),
                "mode": word("How to search; auto by default.", *_MODES),
                "filters": _FILTERS,
                "model": {**string("Who answers; `knowledge.answer_model` by default."), **_NAME},
                "prompt": {
                    **string("A prompt of the registry in place of our instructions."),
                    **_NAME,
                },
                "prompt_variables": mapping("Values of the prompt's variables."),
                "history": array("Messages before the question.", ref("RagTurn"), most=100),
                "stream": flag("Answer as it comes, as server-sent events."),
                "answer": flag("False: passages alone, no model is asked for an answer."),
                "max_context_tokens": whole(
                    "Most tokens of passages; `knowledge.context_tokens` by default.",
                    least=100,
                    most=1_000_000,
                ),
            },
        ),
        "additionalProperties": False,
    },
    "RagRerank": {
        **asked(
            "How the passages are put in order.",
            {},
            {
                "method": word(
                    "`none` as they were found, `mmr` without near-doubles, `model` as a model says.",
                    "none",
                    "mmr",
                    "model",
                ),
                "model": {**string("The rerank model; only with the method `model`."), **_NAME},
                "candidates": whole(
                    "Passages to choose from, at least `top_k`; 30 by default.", least=1, most=200
                ),
                "min_score": number("Passages below are left out.", least=0, most=1),
            },
        ),
        "additionalProperties": False,
    },
    "RagTurn": {
        **asked(
            "A message.",
            {
                "role": word("Whose.", "user", "assistant"),
                "content": {**string("What was said.", least=1), "maxLength": 100_000},
            },
        ),
        "additionalProperties": False,
    },
    "RagAnswer": obj(
        "An answer and what it rests on.",
        {
            **_FOUND,
            "answer": or_null(string("The answer; null when none was asked for.")),
            "model": or_null(string("Who gave it; null when no model was asked.")),
            **_SPENT,
        },
    ),
    "RagCitation": obj(
        "A passage.",
        {
            "n": whole("Its number in the answer.", least=1),
            "file_id": string("Its document."),
            "title": string("The document's name."),
            "chunk_id": string("Its own id."),
            "start": whole("Characters of the document's text before it.", least=0),
            "end": whole("Characters up to its end.", least=0),
            "score": _SCORE,
            "text": string("What it says."),
        },
    ),
    "RagRetrieved": obj(
        "How a passage was found.",
        {
            "chunk_id": string("Its id."),
            "bm25_rank": {**_PLACE, "description": "Its place by words, from 1, or null."},
            "dense_rank": {**_PLACE, "description": "Its place by vector, from 1, or null."},
            "rerank_score": or_null(number("What the rerank model said.")),
        },
    ),
    "RagUsage": obj(
        "Tokens.",
        {
            "prompt_tokens": whole("Read.", least=0),
            "completion_tokens": whole("Written.", least=0),
            "total_tokens": whole("Both.", least=0),
            "calls": whole("Models that were asked.", least=0),
        },
    ),
    "RagTimings": obj(
        "Milliseconds.",
        {
            "retrieve": number("Until the passages were found.", least=0),
            "rerank": number("Until they were in order.", least=0),
            "generate": number("Until the answer was complete.", least=0),
        },
    ),
    "RagEvent": either(
        "The SSE `event` line says which: `citations`, none for a chunk of chat, or `done`.",
        [
            obj("The passages.", _FOUND),
            ref("ChatChunk"),
            obj(
                "The end.",
                {
                    "id": string("Our id of the request."),
                    "model": or_null(string("Who answered; null when no model was asked.")),
                    **_SPENT,
                },
            ),
        ],
    ),
}
