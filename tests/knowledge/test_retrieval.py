"""Searches: by words, by vector, both; and what becomes of one whose models fail."""

from __future__ import annotations

from typing import Any

import pytest

from gatemill.core.errors import (
    BudgetSpent,
    InvalidValue,
    MissingParameter,
    ModelNotFound,
    RateLimited,
    UnsupportedOperation,
    UpstreamBadReply,
    UpstreamTimeout,
)
from gatemill.knowledge.retrieval import Found, Rerank, Search, Wanted, mode_of
from knowledge_play import Models, Shelf, embedded, store

WORDS = {
    "cat": ("A cat sleeps on the mat", (1.0, 0.0)),
    "dog": ("A dog barks at a cat", (0.9, 0.1)),
    "tax": ("Tax is due in May", (0.0, 1.0)),
}


def shelf() -> Shelf:
    return Shelf(**WORDS)


async def run(chunks: Shelf, kept: Any, asker: Models, *queries: str, **more: Any) -> Found:
    wanted = Wanted(queries=queries or ("cat mat",), count=more.pop("count", 5), **more)
    return await Search(chunks, lambda: 0.0).run(kept, wanted, asker)


def names(found: Found) -> list[str]:
    return [passage.chunk_id for passage in found.passages]


async def test_a_store_without_vectors_is_searched_by_words_and_asks_no_model():
    asker = Models()
    found = await run(shelf(), store(), asker)
    assert names(found) == ["cat", "dog"]
    assert (found.mode, found.degraded) == ("keyword", ())
    assert (asker.asked, asker.admissions) == ([], 1)
    first = found.passages[0]
    assert (first.score, first.keyword_rank, first.dense_rank, first.rerank_score) == (
        1.0,
        1,
        None,
        None,
    )
    assert (first.document_id, first.title, first.attributes) == (
        "file-cat",
        "cat.md",
        {"of": "cat"},
    )
    assert (first.start, first.end, first.text) == (5, 28, "A cat sleeps on the mat")


async def test_words_and_vectors_are_fused_by_place():
    asker = Models(embeddings=embedded((0.0, 1.0)))
    found = await run(shelf(), store("mini"), asker)
    assert found.mode == "hybrid"
    assert names(found) == ["cat", "dog", "tax"], "first and third, twice second, first alone"
    places = {p.chunk_id: (p.keyword_rank, p.dense_rank) for p in found.passages}
    assert places == {"cat": (1, 3), "dog": (2, 2), "tax": (None, 1)}
    assert asker.asked == [
        ("embeddings", {"model": "mini", "input": ["cat mat"], "encoding_format": "float"})
    ]
    assert asker.admissions == 0, "the call of the model counts"


async def test_dense_scores_are_cosines():
    found = await run(shelf(), store("mini"), Models(embeddings=embedded((0.0, 1.0))), mode="dense")
    assert found.mode == "dense"
    assert names(found) == ["tax", "dog", "cat"]
    assert found.passages[0].score == pytest.approx(1.0)
    assert found.passages[2].score == 0.0
    assert all(passage.keyword_rank is None for passage in found.passages)


async def test_several_queries_find_what_any_of_them_finds():
    found = await run(shelf(), store(), Models(), "mat", "tax")
    assert set(names(found)) == {"cat", "tax"}
    assert [passage.keyword_rank for passage in found.passages] == [1, 1]


async def test_the_filter_and_the_depth_reach_both_ways():
    chunks, where = shelf(), object()
    await run(chunks, store("m"), Models(embeddings=embedded((1, 0))), where=where, candidates=7)
    assert sorted(chunks.asked) == [("dense", where, 7), ("keyword", where, 7)]


async def test_count_and_least_score_bound_what_is_found():
    assert names(await run(shelf(), store(), Models(), count=1)) == ["cat"]
    high = await run(shelf(), store(), Models(), rerank=Rerank(min_score=0.99))
    assert names(high) == ["cat"]


async def test_a_chunk_that_goes_meanwhile_is_left_out():
    class Leaving(Shelf):
        async def keyword(self, *args: Any) -> Any:
            found = await super().keyword(*args)
            self.drop("cat")
            return found

    assert names(await run(Leaving(**WORDS), store(), Models())) == ["dog"]


# --- What fails ------------------------------------------------------------------------------------


def failing(error: Exception):
    def answer(_body: Any) -> Any:
        raise error

    return answer


@pytest.mark.parametrize("mode", ["auto", "hybrid"])
async def test_without_its_embedder_a_search_goes_on_by_words_and_says_so(mode: str):
    search = Search(shelf(), lambda: 0.0)
    asker = Models(embeddings=failing(UpstreamTimeout("slow")))
    wanted = Wanted(queries=("cat mat",), count=5, mode=mode)
    found = await search.run(store("mini"), wanted, asker)
    assert names(found) == ["cat", "dog"]
    assert (found.mode, found.degraded) == ("keyword", ("embedder: upstream_timeout",))
    assert search.degraded == {("embedder",): 1}


@pytest.mark.parametrize("answer", [{"data": []}, {"data": [{"index": 1, "embedding": [1]}]}, {}])
async def test_an_embedder_that_answers_nonsense_has_failed(answer: Any):
    asker = Models(embeddings=lambda _body: answer)
    found = await run(shelf(), store("mini"), asker)
    assert found.degraded == (f"embedder: {UpstreamBadReply.code}",)


async def test_a_search_by_vector_alone_fails_with_its_embedder():
    with pytest.raises(UpstreamTimeout):
        asker = Models(embeddings=failing(UpstreamTimeout("slow")))
        await run(shelf(), store("mini"), asker, mode="dense")


@pytest.mark.parametrize("error", [BudgetSpent("spent"), RateLimited("wait", retry_after_s=1.0)])
async def test_what_the_caller_may_not_do_is_not_worked_around(error: Exception):
    with pytest.raises(type(error)):
        await run(shelf(), store("mini"), Models(embeddings=failing(error)))
    with pytest.raises(type(error)):
        asker = Models(rerank=failing(error))
        await run(shelf(), store(), asker, rerank=Rerank("model", "r"))


# --- Modes -----------------------------------------------------------------------------------------


def test_spelling_is_never_fused_with_words():
    assert mode_of(store("builtin/hash-512"), "auto") == "keyword"
    assert mode_of(store("mine"), "auto", ["builtin/hash-512"]) == "keyword", "by another name, too"
    assert mode_of(store("builtin/hash-512"), "dense") == "dense"
    with pytest.raises(InvalidValue, match="fused") as refused:
        mode_of(store("mine"), "hybrid", ["builtin/hash-512"])
    assert refused.value.param == "mode"


def test_a_mode_that_needs_vectors_is_refused_where_there_are_none():
    for mode in ("hybrid", "dense"):
        with pytest.raises(InvalidValue, match="no vectors"):
            mode_of(store(), mode)
    assert mode_of(store("mini", mode="keyword"), "auto") == "keyword", "as the store wants it"
    assert mode_of(store("mini"), "keyword") == "keyword"


# --- Other orders ----------------------------------------------------------------------------------


def scores(*pairs: tuple[int, float]):
    results = [{"index": index, "relevance_score": score} for index, score in pairs]
    return lambda _body: {"results": results}


async def test_a_rerank_model_has_the_last_word():
    asker = Models("cohere/rerank", rerank=scores((1, 0.9), (0, 0.2)))
    found = await run(shelf(), store(), asker, count=2, rerank=Rerank("model", "r"))
    assert [(p.chunk_id, p.score, p.rerank_score) for p in found.passages] == [
        ("dog", 0.9, 0.9),
        ("cat", 0.2, 0.2),
    ]
    ((_, body),) = asker.asked
    texts = ["A cat sleeps on the mat", "A dog barks at a cat"]
    assert body == {"model": "r", "query": "cat mat", "documents": texts, "top_n": 2}
    assert found.passages[0].keyword_rank == 2
    assert asker.admissions == 0


async def test_a_model_of_this_house_may_cut_what_is_too_long():
    asker = Models("local/cross", rerank=scores((0, 0.9)))
    await run(shelf(), store(), asker, rerank=Rerank("model", "cross"))
    assert asker.asked[0][1]["truncate"] is True


async def test_scores_without_bounds_become_shares():
    asker = Models("local/cross", rerank=scores((1, 4.0), (0, -4.0)))
    found = await run(shelf(), store(), asker, rerank=Rerank("model", "r", min_score=0.5))
    assert names(found) == ["dog"]
    assert found.passages[0].rerank_score == 4.0
    assert 0.9 < found.passages[0].score < 1


@pytest.mark.parametrize(
    "answer", [failing(UpstreamTimeout("slow")), scores((7, 0.5)), lambda _: {}]
)
async def test_without_its_reranker_a_search_keeps_its_order(answer: Any):
    search = Search(shelf(), lambda: 0.0)
    wanted = Wanted(queries=("cat mat",), count=1, rerank=Rerank("model", "r"))
    found = await search.run(store(), wanted, Models(rerank=answer))
    assert names(found) == ["cat"]
    assert found.degraded[0].startswith("reranker: upstream_")
    assert search.degraded == {("reranker",): 1}


@pytest.mark.parametrize("error", [ModelNotFound("no"), UnsupportedOperation("it chats")])
async def test_a_rerank_model_that_is_none_is_the_callers_mistake(error: Exception):
    with pytest.raises(type(error)) as refused:
        asker = Models(rerank=failing(error))
        await run(shelf(), store(), asker, rerank=Rerank("model", "r"))
    assert refused.value.param == "rerank.model"


async def test_nothing_found_is_not_reranked():
    found = await run(shelf(), store(), Models(), "zebra", rerank=Rerank("model", "r"))
    assert (found.passages, found.degraded) == ([], ())


async def test_near_doubles_make_room_for_others():
    asker = Models(embeddings=embedded((1.0, 0.6)))
    plain = await run(shelf(), store("mini"), asker, count=2, mode="dense")
    spread = await run(shelf(), store("mini"), asker, count=2, mode="dense", rerank=Rerank("mmr"))
    assert set(names(plain)) == {"cat", "dog"}
    assert names(spread)[1] == "tax"


async def test_an_order_that_the_store_cannot_have_is_refused():
    with pytest.raises(InvalidValue, match="vectors") as refused:
        await run(shelf(), store(), Models(), rerank=Rerank("mmr"))
    assert refused.value.param == "rerank.method"
    with pytest.raises(MissingParameter) as missing:
        await run(shelf(), store(), Models(), rerank=Rerank("model"))
    assert missing.value.param == "rerank.model"
