"""One text that must not pass, on every way into the house and out of it."""

from __future__ import annotations

import msgspec
import pytest

from api import api
from batch_play import handed_in, line, reached
from house_for_tests import opened
from line import line as talking

MAIL = "anna.berg@example.org"
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
TEXT = f"Please write to {MAIL} today."
TURN = {"role": "user", "content": TEXT}
CONFIG = """
[models.guarded]
targets = ["echo/echo"]
guards.input = [{ guard = "secrets" }]
[models.behind]
targets = ["echo/echo"]
fallbacks = ["guarded"]
"""
CALLS = {
    "/v1/chat/completions": {"model": "echo", "messages": [TURN]},
    "/v1/completions": {"model": "echo", "prompt": TEXT},
    "/v1/responses": {"model": "echo", "input": TEXT},
    "/v1/messages": {"model": "echo", "max_tokens": 50, "messages": [TURN]},
    "/v1/messages/count_tokens": {"model": "echo", "messages": [TURN]},
    "/v1/embeddings": {"model": "echo", "input": [TEXT]},
    "/v1/predict": {"model": "builtin/sentiment", "input": TEXT},
    "/predict": {"text": TEXT},
    "/v1/rerank": {"model": "builtin/lexical", "query": TEXT, "documents": ["a"]},
    "/api/v1/inference": {"model": "echo", "text": TEXT},
    "/v1/moderations": {"input": TEXT},
}
STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
AFTERWARDS = {
    "/v1/jobs": {"kind": "chat.completion", "args": CALLS["/v1/chat/completions"]},
    "/v1/responses": {"model": "echo", "input": TEXT, "background": True},
    "/v1/vector_stores/STORE/search": {"query": TEXT},
    "/v1/rag/query": {"query": TEXT, "store": "notes"},
}


@pytest.fixture
def works():
    """Whether jobs run."""
    return False


@pytest.fixture
async def gate(tmp_path, works):
    async with opened(tmp_path, CONFIG, works=works) as running:
        yield running


@pytest.fixture
async def ask(gate):
    async with api(gate) as asking:
        yield asking


async def key_with(ask, **guards):
    made = await ask.good("POST", "/api/v1/keys", {"name": "k", "guards": guards})
    assert made["guards"] == guards
    return made["secret"]


def code(answer):
    said = answer.json
    return said.get("code") or said["error"].get("code") or said["error"]["type"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_blocked_text_gets_in_nowhere(ask, stream):
    key = await key_with(ask, input=[{"guard": "pii", "mode": "block"}])
    store = await ask.good("POST", "/v1/vector_stores", {"name": "notes"}, key)
    ways = [(path, CALLS[path]) for path in STREAMED]
    if not stream:
        ways = [*CALLS.items(), *AFTERWARDS.items()]
    for path, body in ways:
        sent = {**body, "stream": True} if stream else body
        answer = await ask("POST", path.replace("STORE", store["id"]), sent, key)
        assert answer.status == 400, (path, answer.body)
        assert code(answer) in ("content_filter", "invalid_request_error"), path
        assert b"guard pii" in answer.body, path
        assert MAIL.encode() not in answer.body, path
        assert b"email, 21 characters" in answer.body, path


async def test_a_masked_text_is_masked_on_every_call(ask):
    key = await key_with(ask, input=[{"guard": "pii", "mode": "mask"}])
    for path, body in CALLS.items():
        answer = await ask("POST", path, body, key)
        assert answer.status == 200, (path, answer.body)
        assert answer.headers["x-gatemill-guards"] == "input;pii;email;mask;1;21", path
        assert MAIL.encode() not in answer.body, path
        if path in STREAMED or path == "/api/v1/inference":
            assert b"[EMAIL]" in answer.body, path


async def test_an_answer_is_masked_in_every_format_and_as_it_flows(ask):
    key = await key_with(ask, output=[{"guard": "pii", "mode": "mask"}])
    for path in (*STREAMED, "/api/v1/inference"):
        for stream in (False, True)[: 2 if path in STREAMED else 1]:
            sent = {**CALLS[path], "stream": True} if stream else CALLS[path]
            answer = await ask("POST", path, sent, key)
            assert answer.status == 200, (path, answer.body)
            assert MAIL.encode() not in answer.body, path
            assert b"[EMAIL]" in answer.body, (path, answer.body)
            seen = answer.body if stream else answer.headers["x-gatemill-guards"].encode()
            assert b"output;pii;email;mask;1;21" in seen, (path, seen)


async def test_a_websocket_is_guarded_like_any_call(gate, ask):
    key = await key_with(
        ask,
        input=[{"guard": "secrets", "mode": "block"}],
        output=[{"guard": "pii", "mode": "mask"}],
    )
    async with talking(gate, key) as ours:
        await ours.say({"model": "echo", "messages": [TURN]})
        heard = msgspec.json.encode(await ours.answer())
        assert b"[EMAIL]" in heard
        assert MAIL.encode() not in heard
        await ours.say({"model": "echo", "messages": [{"role": "user", "content": TOKEN}]})
        (refused,) = await ours.answer()
        assert refused["error"]["code"] == "content_filter"


@pytest.mark.parametrize("works", [True])
async def test_one_line_of_a_batch_is_blocked_alone(ask, gate):
    key = await key_with(ask, input=[{"guard": "pii", "mode": "block"}])
    owner = gate.home.ledger.identify(key.encode())
    lines = [line("a", "echo"), line("b", "echo", TEXT)]
    batch = await handed_in(gate.home.jobs.services, owner, lines)
    done = await reached(gate.home.jobs.services, batch, lambda one: one.status == "completed")
    assert (done.completed, done.failed, done.total) == (1, 1, 2)
    told = await ask("GET", f"/v1/files/{done.error_file_id}/content", None, key)
    assert b"content_filter" in told.body
    assert MAIL.encode() not in told.body


async def test_documents_are_stored_masked_and_shown_masked(ask):
    store = await ask.good("POST", "/v1/vector_stores", {"name": "notes"})
    path = f"/v1/vector_stores/{store['id']}"
    plain = await ask.good("POST", f"{path}/documents", {"documents": [{"id": "a", "text": TEXT}]})
    assert plain
    masking = {"guards": {"output": [{"guard": "pii", "mode": "mask"}]}}
    key_id = ask.admin.split("-")[1]
    await ask.good("PATCH", f"/api/v1/keys/{key_id}", masking)
    found = await ask("POST", f"{path}/search", {"query": "write today"})
    assert found.json["data"][0]["content"][0]["text"] == TEXT.replace(MAIL, "[EMAIL]")
    for stream in (False, True):
        said = await ask(
            "POST", "/v1/rag/query", {"query": "write today", "store": "notes", "stream": stream}
        )
        assert b"[EMAIL]" in said.body
        assert MAIL.encode() not in said.body
    await ask.good(
        "PATCH", f"/api/v1/keys/{key_id}", {"guards": {"input": [{"guard": "pii", "mode": "mask"}]}}
    )
    await ask.good("POST", f"{path}/documents", {"documents": [{"id": "b", "text": TEXT}]})
    await ask.good("PATCH", f"/api/v1/keys/{key_id}", {"guards": None})
    found = await ask("POST", f"{path}/search", {"query": "write today"})
    texts = {one["file_id"]: one["content"][0]["text"] for one in found.json["data"]}
    assert texts == {"a": TEXT, "b": TEXT.replace(MAIL, "[EMAIL]")}


async def test_explain_tells_what_the_guards_would_find_and_says_no_word_of_it(ask):
    key = await key_with(
        ask, input=[{"guard": "pii", "mode": "mask"}, {"guard": "secrets", "mode": "block"}]
    )
    said = await ask.good("POST", "/v1/explain", CALLS["/v1/chat/completions"], key)
    assert said["guards"] == [
        {"side": "input", "guard": "pii", "mode": "mask"},
        {"side": "input", "guard": "secrets", "mode": "block"},
    ]
    assert said["findings"] == [
        {"side": "input", "guard": "pii", "kind": "email", "mode": "mask", "count": 1, "chars": 21}
    ]
    assert said["outcome"]["status"] == 200
    blocked = {"model": "echo", "messages": [{"role": "user", "content": TOKEN}]}
    said = await ask.good("POST", "/v1/explain", blocked, key)
    assert said["outcome"]["code"] == "content_filter"
    assert TOKEN not in str(said)


@pytest.mark.parametrize(
    ("use", "param"),
    [
        ({"guard": "pi"}, "guards.input.0.guard"),
        ({"guard": "pii", "kinds": ["mail"]}, "guards.input.0.kinds.0"),
        ({"guard": "pii", "mode": "hide"}, "guards.input.0.mode"),
        ({"guard": "size"}, "guards.input.0.chars_max"),
        ({"guard": "size", "chars_max": 5, "mode": "mask"}, "guards.input.0.mode"),
        ({"guard": "pii", "chars_max": 5}, "guards.input.0.chars_max"),
        ({"guard": "http"}, "guards.input.0.hook"),
        ({"guard": "pii", "hook": "x"}, "guards.input.0.hook"),
        ({"guard": "pii", "threshold": 2}, "guards.input.0.threshold"),
        ({"guard": "pii", "modes": 2}, "guards.input.0.modes"),
        ({"mode": "block"}, "guards.input.0.guard"),
        ("pii", "guards.input.0"),
    ],
)
async def test_a_guard_that_cannot_stand_is_refused_by_name(ask, use, param):
    answer = await ask("POST", "/api/v1/keys", {"name": "k", "guards": {"input": [use]}})
    assert (answer.status, answer.param) == (400, param), answer.body


async def test_a_team_and_a_model_have_guards_of_their_own_and_the_key_has_the_last_word(ask):
    team = {"id": "red", "guards": {"input": [{"guard": "secrets", "mode": "mask"}]}}
    assert (await ask.good("POST", "/api/v1/teams", team))["guards"] == team["guards"]
    made = await ask.good("POST", "/api/v1/keys", {"name": "k", "team_id": "red"})
    body = {"model": "guarded", "messages": [{"role": "user", "content": TOKEN}]}
    for model in ("behind", "guarded"):  # a model may be asked in place of another
        answer = await ask("POST", "/v1/chat/completions", body | {"model": model})
        assert (answer.status, code(answer)) == (400, "content_filter")
    answer = await ask("POST", "/v1/chat/completions", body, made["secret"])
    assert (answer.status, TOKEN.encode() in answer.body) == (200, False)
    path = f"/api/v1/keys/{made['id']}"
    await ask.good("PATCH", path, {"guards": {"input": [{"guard": "secrets", "mode": "off"}]}})
    answer = await ask("POST", "/v1/chat/completions", body, made["secret"])
    assert (answer.status, TOKEN.encode() in answer.body) == (200, True)
    assert (await ask.good("PATCH", path, {"guards": None}))["guards"] == {}
    assert (await ask.good("PATCH", "/api/v1/teams/red", {"guards": None}))["guards"] == {}
