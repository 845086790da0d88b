"""What every ports.Transport does when the provider behaves, however oddly it puts its bytes."""

from __future__ import annotations

import asyncio
import zlib

import msgspec
import pytest

from gatemill.core.ports import Incoming, Outgoing
from transports import (
    EVENT_STREAM,
    KEY,
    PATIENT,
    Remembered,
    answering,
    ask,
    chat,
    ok,
    opened,
    raw_server,
    request,
    soon,
    streamed,
)


def gzipped(data: bytes) -> bytes:
    return zlib.compress(data, wbits=31)


async def test_a_complete_answer_comes_back_with_its_status_and_body(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    got = await ask(transport, chat("fake"))
    assert got.status == 200
    assert msgspec.json.decode(got.body)["object"] == "chat.completion"


async def test_the_request_carries_path_query_fixed_and_extra_headers(bench, fake):
    transport = bench.make(f"{fake.url}/v1/", headers=(*KEY, ("x-team", "a")))
    out = chat("fake")
    await ask(transport, Outgoing(out.path + "?a=b", out.body, (("anthropic-beta", "x-1"),)))
    row = fake.journal[0]
    assert row.path == "/v1/chat/completions?a=b"
    assert row.header("host") == fake.url.removeprefix("http://")
    assert row.header("authorization") == "Bearer ...6789"
    assert (row.header("anthropic-beta"), row.header("x-team")) == ("x-1", "a")
    assert row.header("content-type") == "application/json"
    assert row.header("accept-encoding") == "identity"
    assert row.header("content-length") == str(len(out.body))


async def test_extra_headers_of_one_request_do_not_reach_the_next(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    out = chat("fake")
    await ask(transport, Outgoing(out.path, out.body, (("anthropic-beta", "x-1"),)))
    await ask(transport, out)
    assert fake.journal[1].header("anthropic-beta") == ""


async def test_a_large_request_arrives_whole(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    out = chat("fake", user="x" * 3_000_000)
    assert (await ask(transport, out)).status == 200
    assert fake.journal[0].body_bytes == len(out.body)


async def test_a_stream_is_pushed_to_its_sink_and_ends_once(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    source = await opened(transport, streamed("fake"))
    sink = Remembered()
    source.attach(sink)
    assert await sink.end() is None
    assert sink.data.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("fault", ["chunked", "no-length", "bytewise", "early-hints", "gzip"])
async def test_a_complete_answer_survives_an_odd_way_of_bytes(bench, fake, fault):
    transport = bench.make(f"{fake.url}/v1")
    got = await ask(transport, chat(f"fake+{fault}"))
    assert got.status == 200
    assert msgspec.json.decode(got.body)["choices"]


@pytest.mark.parametrize("fault", ["no-length", "bytewise", "early-hints", "gzip", "split-utf8"])
async def test_a_stream_survives_an_odd_way_of_bytes(bench, fake, fault):
    transport = bench.make(f"{fake.url}/v1")
    source = await opened(transport, streamed(f"fake+{fault}"))
    sink = Remembered()
    source.attach(sink)
    assert await sink.end() is None
    assert sink.data.endswith(b"data: [DONE]\n\n")


async def test_a_sink_attached_late_gets_everything(bench):
    whole = EVENT_STREAM + b"content-length: 18\r\n\r\ndata: 1\n\ndata: 2\n\n"
    async with raw_server(answering(whole)) as url:
        source = await opened(bench.make(url), streamed("x"))
        await asyncio.sleep(0)
        sink = Remembered()
        source.attach(sink)
        assert await sink.end() is None
        assert sink.data == b"data: 1\n\ndata: 2\n\n"


async def test_the_content_type_of_a_stream_may_be_written_in_capitals(bench):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n"
    async with raw_server(answering(head + b"content-length: 9\r\n\r\ndata: 1\n\n")) as url:
        source = await opened(bench.make(url), streamed("x"))
        sink = Remembered()
        source.attach(sink)
        assert await sink.end() is None
        assert sink.data == b"data: 1\n\n"


async def test_a_refused_stream_is_a_complete_answer_with_headers(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    got = await transport.open(streamed("fake+status=503+retry-after=7"), PATIENT, soon())
    assert isinstance(got, Incoming)
    assert (got.status, got.headers["retry-after"]) == (503, "7")
    assert msgspec.json.decode(got.body)["error"]


async def test_a_stream_request_answered_with_json_is_a_complete_answer(bench):
    async with raw_server(answering(ok(b'{"a":1}', "content-type: application/json"))) as url:
        got = await bench.make(url).open(streamed("x"), PATIENT, soon())
        assert isinstance(got, Incoming)
        assert (got.status, got.body) == (200, b'{"a":1}')


async def test_an_empty_answer_is_empty(bench):
    async with raw_server(answering(ok(b""))) as url:
        assert (await ask(bench.make(url), chat("x"))).body == b""


async def test_an_http_1_0_answer_ends_with_its_connection(bench):
    async with raw_server(answering(b"HTTP/1.0 200 OK\r\n\r\n{}")) as url:
        assert (await ask(bench.make(url), chat("x"))).body == b"{}"


async def test_an_answer_before_the_request_was_read_is_an_answer(bench):
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        await reader.read()

    async with raw_server(handler) as url:
        got = await ask(bench.make(url), chat("x", user="x" * 200_000))
        assert got.status == 413


async def test_a_redirect_is_an_answer_and_not_followed(bench):
    lines = "HTTP/1.1 307 Elsewhere", "location: http://127.0.0.1:1/", "content-length: 0"
    async with raw_server(answering("\r\n".join(lines).encode() + b"\r\n\r\n")) as url:
        got = await ask(bench.make(url), chat("x"))
        assert (got.status, got.headers["location"]) == (307, "http://127.0.0.1:1/")


async def test_cookies_of_the_provider_are_not_sent_back(bench):
    seen = []

    async def handler(reader, writer):
        while head := await request(reader):
            seen.append(head)
            writer.write(ok(b"{}", "set-cookie: a=b; path=/"))

    async with raw_server(handler) as url:
        transport = bench.make(url.replace("127.0.0.1", "localhost"))
        await ask(transport, chat("x"))
        await ask(transport, chat("x"))
    assert b"cookie" not in seen[1].lower()


async def test_deflate_and_concatenated_gzip_are_decoded(bench):
    plain = b'{"text":"' + b"x" * 5000 + b'"}'
    for name, data in (
        ("deflate", zlib.compress(plain)),
        ("gzip", gzipped(plain[:100]) + gzipped(plain[100:])),
    ):
        async with raw_server(answering(ok(data, f"content-encoding: {name}"))) as url:
            assert (await ask(bench.make(url), chat("x"))).body == plain


async def test_a_long_error_body_is_cut_and_not_refused(bench):
    head = b"HTTP/1.1 500 No\r\ncontent-length: 3000000\r\n\r\n"
    async with raw_server(answering(head + b"x" * 3_000_000)) as url:
        got = await ask(bench.make(url), chat("x"))
        assert got.status == 500
        assert 1 << 20 <= len(got.body) < 3_000_000
