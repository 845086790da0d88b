"""What is refused before it is understood, and that the connection cannot be used for more."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import pytest
import pytest_asyncio

from house_for_tests import opened
from peer import CHAT, PATIENCE_S, ask, body, chat, peer, plain, post, quickest

QUICK_S = 1.0  # of processing time, of which most is sending and receiving
ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path):
    """Opens one with other limits."""
    async with AsyncExitStack() as stack:

        async def start(more: str):
            return await stack.enter_async_context(opened(tmp_path, ECHO + more))

        yield start


@pytest.fixture
def gate(place):
    return place[0]


async def refused(gate, data: bytes) -> tuple[int, str]:
    """Status and code of the refusal; the connection must be closed after it."""
    async with peer(gate) as client:
        client.writer.write(data)
        answer = await client.answer()
        assert answer.closes
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["content-type"] == "application/json"
        client.writer.write_eof()
        assert await client.rest() == b""
        return answer.status, answer.code


# --- Hosts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9", "localhost", "LOCALHOST:1", "[::1]:8700", "127.0.0.1", "gate.example:1"]
)
async def test_hosts_of_this_machine_and_configured_ones_are_served(house, host):
    gate = await house('[server]\nallowed_hosts = ["gate.example"]\n')
    assert (await ask(gate, post(gate, host=host))).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "a@localhost", "", None]
)
async def test_other_hosts_are_refused(gate, host):
    assert await refused(gate, post(gate, host=host)) == (421, "host_not_allowed")


async def test_other_hosts_are_refused_for_every_path_and_request(gate):
    data = plain(gate, "/livez").replace(b"127.0.0.1", b"evil.example")
    assert await refused(gate, data) == (421, "host_not_allowed")
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        await client.send(data)
        assert (await client.answer()).status == 421


async def test_two_hosts_are_refused(gate):
    data = post(gate).replace(b"content-type", b"host: localhost\r\ncontent-type")
    assert await refused(gate, data) == (400, "invalid_header")


# --- What is not HTTP, or is two kinds of it ------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"transfer_encoding": "chunked"},  # and content-length
        {"transfer_encoding": "gzip, chunked", "content_length": None},
        {"transfer_encoding": "chunked, gzip", "content_length": None},
        {"content_length": "+5"},
        {"content_length": "-1"},
        {"content_length": "5, 5"},
        {"content_length": "0x5"},
        {"content_length": "99999999999999999999999"},
        {"x_odd": "a\x00b"},
        {"x_odd": "a\rb"},
        {"x_odd": "a\n b"},
        {"x odd": "a"},
        {"content_length ": "5"},
    ],
)
async def test_ambiguous_framing_and_odd_headers_are_refused(gate, headers):
    status, code = await refused(gate, post(gate, body(), **headers))
    assert (status, code) in ((400, "invalid_header"), (413, "request_too_large"))


async def test_two_lengths_are_refused(gate):
    data = post(gate).replace(b"content-type", b"content-length: 3\r\ncontent-type")
    assert await refused(gate, data) == (400, "invalid_header")


@pytest.mark.parametrize("size", [b"zz", b"-1", b"5 5", b"0x5", b"fffffffffffffffff", b""])
async def test_a_bad_chunk_size_is_refused(gate, size):
    head = post(gate, b"", content_length=None, transfer_encoding="chunked")
    assert await refused(gate, head + size + b"\r\nhello\r\n0\r\n\r\n") == (400, "invalid_header")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\nhost: localhost\n\n",
        b"get / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
)
async def test_what_is_not_http_1_is_refused(gate, data):
    assert await refused(gate, data) == (400, "invalid_header")


@pytest.mark.parametrize(
    ("method", "target"),
    [("CONNECT", "127.0.0.1:22"), ("GET", "http://localhost"), ("GET", "/\xff")],
)
async def test_targets_without_a_path_are_refused_in_our_words(gate, method, target):
    assert await refused(gate, plain(gate, target, method)) == (400, "invalid_header")


# --- Too large -----------------------------------------------------------------------------------


async def test_too_many_headers_are_refused(gate):
    many = {f"x_{n}": "v" for n in range(5000)}
    assert await refused(gate, post(gate, **many)) == (431, "headers_too_large")


async def test_as_many_headers_as_allowed_are_fine(house):
    gate = await house("[limits]\nheader_count = 10\n")
    fits = {f"x_{n}": "v" for n in range(6)}
    assert (await ask(gate, post(gate, **fits))).status == 200
    assert (await refused(gate, post(gate, **fits, y="v")))[0] == 431


@pytest.mark.parametrize("size", [40_000, 1 << 20])
async def test_one_large_header_is_refused(gate, size):
    assert await refused(gate, post(gate, x_big="v" * size)) == (431, "headers_too_large")


async def test_a_long_path_is_refused(gate):
    assert (await refused(gate, plain(gate, "/" + "a" * 40_000)))[0] == 431
    assert (await refused(gate, plain(gate, "/" + "a" * 2_000_000)))[0] == 431


async def test_an_endless_header_is_refused_while_it_comes(gate):
    async with peer(gate) as client:
        client.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nx-big: ")
        for _ in range(64):
            client.writer.write(b"v" * 65536)
        assert (await client.answer()).status == 431


async def test_an_endless_header_is_refused_also_on_a_connection_that_uvicorn_has(gate):
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        client.writer.write(b"GET /livez HTTP/1.1\r\nx-big: ")
        for _ in range(64):
            client.writer.write(b"v" * 65536)
        assert (await client.answer()).status == 431


async def test_a_head_may_be_as_large_as_allowed(gate):
    assert (await ask(gate, post(gate, x_big="v" * 30_000))).status == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/nothing"])
async def test_a_body_over_the_limit_by_its_length_is_refused(house, path):
    gate = await house("[limits]\nbody_bytes = 1000\n")
    assert await refused(gate, post(gate, b"x" * 1001, path=path)) == (413, "request_too_large")


@pytest.mark.parametrize("path", [CHAT, "/v1/nothing"])
async def test_a_body_over_the_limit_by_its_chunks_is_refused(house, path):
    gate = await house("[limits]\nbody_bytes = 1000\n")
    head = post(gate, b"", path=path, content_length=None, transfer_encoding="chunked")
    chunk = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    assert await refused(gate, head + chunk * 3) == (413, "request_too_large")


async def test_a_body_over_the_limit_is_refused_on_a_connection_that_uvicorn_has(house):
    gate = await house("[limits]\nbody_bytes = 1000\n")
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        await client.send(post(gate, b"x" * 1001))
        answer = await client.answer()
        assert (answer.status, answer.code, answer.closes) == (413, "request_too_large", True)
        client.writer.write_eof()
        assert await client.rest() == b""


async def test_whoever_sends_on_after_a_refusal_can_still_read_it(house):
    gate = await house("[limits]\nbody_bytes = 1000\n")
    async with peer(gate) as client:
        client.writer.write(post(gate, b"x" * 30_000_000))
        answer = await client.answer()
        assert (answer.status, answer.code) == (413, "request_too_large")
        await client.rest()


async def test_a_body_of_exactly_the_limit_is_fine(house):
    gate = await house("[limits]\nbody_bytes = 1000\n")
    data = body(content="x" * (1000 - len(body(content=""))))
    assert len(data) == 1000
    assert (await ask(gate, post(gate, data))).status == 200


async def test_too_many_connections_are_refused_with_words(house):
    gate = await house("[limits]\nconnections = 2\n")
    async with peer(gate) as first, peer(gate) as second:
        await first.send(post(gate))
        assert (await first.answer()).status == 200
        await second.send(plain(gate, "/livez"))
        assert (await second.answer()).status == 200
        async with peer(gate) as third:
            answer = await third.answer()
            assert (answer.status, answer.code, answer.closes) == (503, "overloaded", True)
            assert answer.headers["retry-after"] == "1"
            assert await third.rest() == b""
        second.reset()
        await second.rest()
    await until_closed(gate)
    assert (await chat(gate)).status == 200


async def until_closed(gate) -> None:
    async with asyncio.timeout(PATIENCE_S), peer(gate) as probe:
        while len(gate.door.connections) > 1:
            await probe.turn()


# --- Bodies --------------------------------------------------------------------------------------


async def test_ten_megabytes_of_brackets_are_refused_quickly(gate):
    deep = b"[" * 5_000_000 + b"]" * 5_000_000
    flat = b"[" + b"[]," * 3_300_000 + b"[]]"
    comb = b"[" + b",".join([b"[" * 62 + b"]" * 62] * 80_000) + b"]"
    for value in (deep, deep[:5_000_000], flat, comb):
        data = b'{"model":"echo","messages":[{"role":"user","content":"x"}],"x":' + value + b"}"
        request = post(gate, data)
        took_s, answer = await quickest(partial(ask, gate, request), QUICK_S)
        assert answer.status in (400, 413)
        assert took_s < QUICK_S
