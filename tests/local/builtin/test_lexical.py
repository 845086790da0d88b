"""builtin/lexical: BM25 among the documents of a request."""

from __future__ import annotations

import msgspec

from gatemill.local.builtin import lexical

DOCUMENTS = ["Berlin is in Germany", "Paris is the capital of France", "France is big", "..."]


def test_rare_words_decide_and_scores_stay_between_0_and_1():
    scores = lexical.scores("capital of France", DOCUMENTS)
    assert sorted(range(4), key=lambda at: -scores[at])[:2] == [1, 2]
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] == scores[3] == 0


def test_a_query_that_nobody_answers_leaves_the_order_as_it_was():
    body = {"model": "lexical", "query": "owl", "documents": DOCUMENTS}
    found = lexical.answer(msgspec.json.encode(body), 0.0)
    assert [each["index"] for each in found["results"]] == [0, 1, 2, 3]
    assert "document" not in found["results"][0]
    assert lexical.scores("owl", ["..."]) == [0.0]


def test_top_n_and_documents_are_as_asked():
    body = {"model": "lexical", "query": "france", "documents": DOCUMENTS}
    body |= {"top_n": 1, "return_documents": True}
    (best,) = lexical.answer(msgspec.json.encode(body), 0.0)["results"]
    assert best["document"]["text"] == "France is big"
