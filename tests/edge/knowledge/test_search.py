"""Search as OpenAI has it: their SDK, their shapes, filters, rankers, and what is refused."""

from __future__ import annotations

from filled_stores import fake_vector as vector
from filled_stores import filled, owner_of_secret
from sdks import openai_at

PAGE = ["object", "search_query", "data", "has_more", "next_page"]


def path(store) -> str:
    return f"/v1/vector_stores/{store.id}/search"


async def test_openais_sdk_finds_passages(gate, notes):
    async with openai_at(gate.url, gate.key) as client:
        page = await client.vector_stores.search(notes.id, query="budget money", max_num_results=1)
        many = await client.vector_stores.search(notes.id, query=["revoked", "create"])
    (found,) = page.data
    assert (found.file_id, found.filename, found.score) == ("money", "money.md", 1.0)
    assert found.attributes == {}
    assert [(part.type, part.text) for part in found.content] == [
        ("text", "A budget stops a key when its money is spent.")
    ]
    assert {one.file_id for one in many.data} == {"keys"}
    assert len(many.data) == 2


async def test_a_page_has_openais_fields_and_no_other(ask, notes):
    said = await ask("POST", path(notes), {"query": "budget"})
    assert list(said.json) == PAGE
    assert (said.json["search_query"], said.json["next_page"]) == (["budget"], None)
    assert set(said.json["data"][0]) == {"file_id", "filename", "score", "attributes", "content"}
    assert said.headers["x-request-id"].startswith("req_")
    assert "x-gatemill-degraded" not in said.headers


async def test_filters_bound_the_search(ask, store):
    made = await store(attributes={"keys": {"year": 2025}, "money": {"year": 2026}})
    newer = {"type": "gt", "key": "year", "value": 2025}
    said = await ask.good("POST", path(made), {"query": "key", "filters": newer})
    assert [one["file_id"] for one in said["data"]] == ["money"]
    assert said["data"][0]["attributes"] == {"year": 2026}
    odd = await ask("POST", path(made), {"query": "key", "filters": {"type": "like"}})
    assert odd.status == 400
    assert odd.json["error"]["param"].startswith("filters")


async def test_a_ranker_may_be_a_model_and_its_threshold_bounds(ask, notes):
    options = {"ranker": "builtin/lexical", "score_threshold": 0.01}
    said = await ask.good("POST", path(notes), {"query": "budget", "ranking_options": options})
    assert said["data"]
    assert all(0 <= one["score"] <= 1 for one in said["data"])
    none = {"ranker": "none", "score_threshold": 1}
    few = await ask.good("POST", path(notes), {"query": "budget", "ranking_options": none})
    assert len(few["data"]) == 1


async def test_words_and_vectors_together(ask, gate, store):
    """A passage that shares no word with the query is found by its vector alone."""
    made = await store("near", "mini", at={"A key may be revoked at any time.": vector("zebra")})
    said = await ask("POST", path(made), {"query": "zebra"})
    assert said.json["data"][0]["content"][0]["text"] == "A key may be revoked at any time."
    await gate.home.ledger.flushed()
    (row,) = await gate.home.ledger.recent(10)
    assert row.request_id == f"{said.headers['x-request-id']}-embed"
    assert (row.operation, row.target_model) == ("embeddings", "mini")


async def test_a_dead_embedder_leaves_the_words_and_a_header(ask, gate, store):
    made = await store("near", "dead")
    said = await ask("POST", path(made), {"query": "budget"})
    assert said.status == 200
    assert said.headers["x-gatemill-degraded"].startswith("embedder: upstream_")
    assert {one["file_id"] for one in said.json["data"]} == {"money", "evil"}
    numbers = (await ask("GET", "/metrics")).body.decode()
    assert (
        'gatemill_requests_total{model="",operation="search",provider="",status="200"} 1' in numbers
    )


MISTAKES = [
    ({}, "missing_required_parameter", "query"),
    ({"query": ""}, "invalid_value", "query"),
    ({"query": "  "}, "invalid_value", "query"),
    ({"query": []}, "invalid_value", "query"),
    ({"query": ["a", ""]}, "invalid_value", "query.1"),
    ({"query": 7}, "invalid_type", "query"),
    ({"query": "a", "max_num_results": 0}, "invalid_value", "max_num_results"),
    ({"query": "a", "max_num_results": 51}, "invalid_value", "max_num_results"),
    ({"query": "a", "rewrite_query": True}, "unsupported_parameter", "rewrite_query"),
    ({"query": "a", "nonsense": 1}, "unsupported_parameter", "nonsense"),
    (
        {"query": "a", "ranking_options": {"score_threshold": 2}},
        "invalid_value",
        "ranking_options.score_threshold",
    ),
    (
        {"query": "a", "ranking_options": {"ranker": "nobody"}},
        "model_not_found",
        "rerank.model",
    ),
]


async def test_mistakes_are_refused_by_name(ask, notes):
    for body, code, param in MISTAKES:
        said = await ask("POST", path(notes), body)
        error = said.json["error"]
        assert (error["code"], error["param"]) == (code, param), body
        assert said.status in (400, 404)


async def test_odd_words_are_words(ask, notes):
    for query in (
        'budget" OR *',
        "NEAR(budget",
        "-budget",
        "budget:",
        "🐈 budget",
        "'",
    ):
        said = await ask("POST", path(notes), {"query": query})
        assert said.status == 200, (query, said.body)
        assert bool(said.json["data"]) == ("budget" in query)


async def test_another_owners_store_is_not_there(ask, notes):
    eve = (await ask.good("POST", "/api/v1/keys", {"name": "eve"}))["secret"]
    said = await ask("POST", path(notes), {"query": "budget"}, eve)
    assert (said.status, said.json["error"]["code"]) == (404, "not_found")
    assert "budget" not in said.body.decode()
    assert (await ask("POST", path(notes), {"query": "budget"}, "")).status == 401


async def test_a_search_counts_as_a_request(ask, gate):
    limited = {"name": "few", "limits": {"requests_per_minute": 2}}
    secret = (await ask.good("POST", "/api/v1/keys", limited))["secret"]
    made = await filled(
        gate.home.ledger, owner_of_secret(gate.home.ledger, secret), {"a": ["word"]}
    )
    statuses = [(await ask("POST", path(made), {"query": "word"}, secret)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
