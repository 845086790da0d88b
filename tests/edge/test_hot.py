"""What a request says: its key, its ids, its encoding and its JSON; and how a no looks."""

from __future__ import annotations

import gzip
import zlib

import msgspec
import pytest
import pytest_asyncio

from edge.conftest import CONFIG
from gatemill.fake_provider import server as fake_provider
from house_for_tests import opened
from peer import CHAT, ask, body, chat, peer, plain, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = {"role": "user", "content": "Hello"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory):
    """One house for all that only ask it, and the provider behind it."""
    provider = await fake_provider.start("127.0.0.1", 0)
    config = CONFIG.format(url=provider.url) + '[models.fake]\ntargets = ["up/fake"]\n'
    async with opened(tmp_path_factory.mktemp("hot"), config) as running:
        yield running, provider
    await provider.stop()


@pytest.fixture
def gate(place):
    return place[0]


@pytest.fixture
def fake(place):
    """Its journal holds what the test itself asks."""
    place[1].journal.clear()
    return place[1]


@pytest_asyncio.fixture(loop_scope="module", params=["front", "uvicorn"])
async def asked(request, gate):
    """Asks in one form or the other: own protocol, or ASGI."""
    async with peer(gate) as client:
        if request.param == "uvicorn":
            await client.send(plain(gate, "/livez"))
            await client.answer()

        async def ask_this(data: bytes):
            await client.send(data)
            return await client.answer()

        yield ask_this


# --- Keys ----------------------------------------------------------------------------------------


async def test_either_header_carries_the_key(gate, asked):
    assert (await asked(post(gate, authorization=None, x_api_key=gate.key))).status == 200
    assert (await asked(post(gate, authorization=f"bearer {gate.key}"))).status == 200
    assert (await asked(post(gate, authorization="Basic eDp5", x_api_key=gate.key))).status == 200


async def test_the_bearer_counts_when_both_headers_come(gate, asked):
    assert (await asked(post(gate, x_api_key="gm-wrong"))).status == 200
    answer = await asked(post(gate, authorization="Bearer gm-wrong", x_api_key=gate.key))
    assert answer.status == 401


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "gm-abc", "Bearer gm-a-b", "Bearer \xff"]
)
async def test_no_or_an_unknown_key_is_401_and_names_the_scheme(gate, asked, value):
    answer = await asked(post(gate, authorization=value))
    assert (answer.status, answer.code) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatemill"'
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json["error"].keys() == {"message", "type", "param", "code"}


async def test_the_body_is_not_looked_at_without_a_key(gate, asked):
    assert (await asked(post(gate, b"{not json", authorization=None))).status == 401


# --- Shapes --------------------------------------------------------------------------------------


async def test_messages_speaks_anthropics_errors(gate, asked):
    answer = await asked(post(gate, path="/v1/messages", authorization=None))
    assert answer.status == 401
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == "authentication_error"
    assert answer.json["request_id"] == answer.headers["request-id"]
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_the_api_speaks_problem_json(gate, asked):
    answer = await asked(post(gate, path="/api/v1/inference", authorization=None))
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == 401
    assert answer.json["code"] == "invalid_api_key"


async def test_failures_of_the_provider_have_our_words_and_tell_when_to_retry(gate, asked):
    answer = await asked(post(gate, body("up/fake+status=503+retry-after=30")))
    assert (answer.status, answer.code) == (503, "upstream_overloaded")
    assert answer.headers["retry-after"] == "30"
    answer = await asked(post(gate, body("up/fake+auth")))
    assert (answer.status, answer.code) == (502, "upstream_auth_failed")


async def test_a_stream_that_breaks_ends_with_one_error_event(gate, asked):
    answer = await asked(post(gate, body("up/fake+cut=2", stream=True)))
    assert answer.status == 200
    *_, last = answer.events
    assert last["error"]["code"] == "upstream_interrupted"
    assert b"[DONE]" not in answer.body


async def test_a_stream_that_fails_before_content_is_a_plain_refusal(gate, asked):
    answer = await asked(post(gate, body("up/fake+error-event=0", stream=True)))
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json"


async def test_a_stream_of_messages_that_breaks_ends_with_anthropics_event(gate, asked):
    data = body("claude/fake+cut=2", stream=True, max_tokens=99)
    answer = await asked(post(gate, data, path="/v1/messages"))
    assert b"\n\nevent: error\ndata: " in answer.body
    assert answer.events[-1]["type"] == "error"
    assert b"message_stop" not in answer.body


# --- Ids -----------------------------------------------------------------------------------------


async def test_request_ids_are_ours_and_differ(gate, asked):
    first, second = await asked(post(gate)), await asked(post(gate))
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "x-client-request-id" not in first.headers


async def test_a_callers_id_is_repeated_beside_ours(gate, asked):
    answer = await asked(post(gate, x_request_id="abc-123_X"))
    assert answer.headers["x-client-request-id"] == "abc-123_X"
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("value", ["a b", "x" * 65, "a\xe9", "<script>", "a;b", ""])
async def test_an_odd_id_of_the_caller_is_dropped(gate, asked, value):
    assert "x-client-request-id" not in (await asked(post(gate, x_request_id=value))).headers


# --- Encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_compressed_body_is_read(gate, asked, pack):
    name = "gzip" if pack is gzip.compress else "deflate"
    answer = await asked(post(gate, pack(body()), content_encoding=name))
    assert "Hello" in answer.text


async def test_identity_is_no_encoding(gate, asked):
    assert (await asked(post(gate, content_encoding="identity"))).status == 200


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip", "x"])
async def test_other_encodings_are_refused(gate, asked, encoding):
    answer = await asked(post(gate, content_encoding=encoding))
    assert (answer.status, answer.code) == (415, "unsupported_encoding")


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(body(), mtime=0)[:-9], b""])
async def test_a_broken_compressed_body_is_refused(gate, asked, data):
    answer = await asked(post(gate, data, content_encoding="gzip"))
    assert (answer.status, answer.code) == (400, "invalid_json")


async def test_nothing_is_decoded_for_a_stranger(gate, asked):
    answer = await asked(post(gate, b"not gzip", content_encoding="gzip", authorization="Bearer x"))
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_a_gzip_bomb_is_refused(tmp_path):
    bomb = gzip.compress(b" " * 30_000_000, 1)
    async with opened(tmp_path, "[limits]\nbody_bytes = 1000000\n") as small:
        answer = await ask(small, post(small, bomb, content_encoding="gzip"))
    assert (answer.status, answer.code) == (413, "request_too_large")


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (body() + b" {}", "invalid_json"),
        (b"null", "invalid_type"),
        (b"[]", "invalid_type"),
        (body(content="a").replace(b'"a"', b'"\xff"'), "invalid_json"),
        (body(content="a").replace(b'"a"', b'"\xed\xa0\x80"'), "invalid_json"),
        (body()[:-1] + b',"x":NaN}', "invalid_json"),
        (body()[:-1] + b',"x":Infinity}', "invalid_json"),
        (body()[:-1] + b',"temperature":NaN}', "invalid_json"),
        (body(content="a\0b"), "invalid_value"),
        (body()[:-1] + b',"x":"\0"}', "invalid_json"),
        (body(x=eval("[" * 70 + "]" * 70)), "json_too_deep"),
        (b'{"model":"echo","messages":' + b"[" * 100_000, "json_too_deep"),
        (body().replace(b"model", b"modell"), "missing_required_parameter"),
        (body(temperature="hot"), "invalid_type"),
    ],
)
async def test_what_is_not_good_json_is_refused_with_its_reason(gate, asked, data, code):
    answer = await asked(post(gate, data))
    assert (answer.status, answer.code) in ((400, code), (400, "invalid_type"))


async def test_a_null_character_is_refused_by_its_place(gate, asked):
    answer = await asked(post(gate, body(content="a\0b")))
    assert answer.json["error"]["param"] == "messages.0.content"


async def test_an_escaped_backslash_before_u0000_is_no_null_character(gate, asked):
    assert (await asked(post(gate, body(content="a\\u0000b")))).status == 200


async def test_a_refused_value_is_not_repeated_at_length(gate, asked):
    data = msgspec.json.encode(
        {"model": "echo", "messages": [{"role": "x" * 100_000, "content": "a"}]}
    )
    answer = await asked(post(gate, data))
    assert answer.status == 400
    assert len(answer.body) < 2000


@pytest.mark.parametrize("second", ["model", "mod\\u0065l"])
async def test_the_provider_sees_the_field_that_we_have_checked(gate, fake, second):
    first = b'{"model":"up/fake+status=500","messages":[{"role":"user","content":"x"}],'
    twice = first + b'"%b":"up/fake"}' % second.encode()
    assert (await ask(gate, post(gate, twice))).status == 200
    (row,) = fake.journal
    assert row.body["model"] == "fake"
    assert row.body_bytes < len(twice) - 20  # once, not twice


@pytest.mark.parametrize("name", ["max_tokens", "stream", "n", "max_completion_tokens"])
async def test_a_field_that_stands_twice_arrives_once(gate, fake, name):
    low, high = ("false", "false") if name == "stream" else ("1", "2")
    data = body("fake")[:-1] + f',"{name}":{low},"{name}":{high}'.encode() + b"}"
    assert (await ask(gate, post(gate, data))).status == 200
    (row,) = fake.journal
    assert row.body_bytes < len(data)
    assert row.body[name] == msgspec.json.decode(high)


async def test_unknown_fields_and_odd_white_space_pass_as_they_came(gate, fake):
    data = (
        b'{ "model": "fake",\n "x_vendor": {"a": [1, 2.50]},' + body()[len(b'{"model":"echo",') :]
    )
    assert (await ask(gate, post(gate, data))).status == 200
    assert fake.journal[0].body_bytes == len(data)


# --- Paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (CHAT, body("up/fake")),
        ("/v1/completions", msgspec.json.encode({"model": "up/fake", "prompt": "Hi"})),
        ("/v1/embeddings", msgspec.json.encode({"model": "up/fake", "input": "Hi"})),
        ("/v1/responses", msgspec.json.encode({"model": "up/fake", "input": "Hi"})),
        ("/v1/messages", body("claude/fake", max_tokens=9)),
        ("/v1/messages/count_tokens", body("claude/fake")),
        ("/api/v1/inference", msgspec.json.encode({"model": "up/fake", "text": "Hi"})),
    ],
)
async def test_every_inference_path_answers_in_both_forms(gate, asked, path, data):
    answer = await asked(post(gate, data, path=path))
    assert answer.status == 200, answer.body
    assert answer.json


@pytest.mark.parametrize("name", ["none", "a/b", "a%0Ab", "%0A", "%F0%9F%8C%BE"])
async def test_a_model_that_is_not_there_is_404_whatever_its_name(gate, asked, name):
    assert (await asked(plain(gate, f"/v1/models/{name}"))).status == 404


async def test_an_unknown_model_is_not_found_without_naming_others(gate, asked):
    answer = await asked(post(gate, body("nothing")))
    assert (answer.status, answer.code) == (404, "model_not_found")


async def test_usage_of_a_stream_is_stripped_unless_asked_for(gate, fake):
    plain_stream = await chat(gate, "up/fake", stream=True)
    assert b'"usage":{' not in plain_stream.body
    asked_for = await chat(gate, "up/fake", stream=True, stream_options={"include_usage": True})
    assert asked_for.events[-1]["usage"]["prompt_tokens"] > 0
