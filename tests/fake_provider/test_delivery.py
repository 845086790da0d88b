"""Every fault that lives in the bytes, seen on the wire."""

from __future__ import annotations

import asyncio
import time
import zlib

import msgspec
import pytest

from fake_provider.asking import (
    CHAT,
    MESSAGES,
    PATIENCE_S,
    RESPONSES,
    Seen,
    ask,
    exchange,
    read,
    request,
    rest,
    stream,
    written,
)
from gatemill.fake_provider.delivery import inside_characters
from gatemill.fake_provider.server import FakeProvider

HELLO = "Hello from fake-provider."
SURFACES = pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])


def content_events(seen: Seen) -> int:
    """Deltas with text, whatever the vendor."""
    return sum(
        bool(event.get("delta"))
        if "type" in event
        else any(choice["delta"].get("content") for choice in event.get("choices", ()))
        for event in seen.data
        if event.get("type") != "message_delta"
    )


async def test_first_byte_waits_before_the_headers(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+first-byte=0.1")
    row = provider.journal[-1]
    assert seen.status == 200
    assert row.head_s - row.arrived_s >= 0.1


async def test_hang_sends_nothing_until_the_client_leaves(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+hang"))
    await provider.journal.wait_for(lambda row: row.model == "fake+hang", PATIENCE_S)
    writer.close()
    row = await provider.journal.wait_for(lambda row: row.outcome != "running", PATIENCE_S)
    assert (row.outcome, row.phase, row.head_s) == ("client_left", "before_headers", None)
    assert await rest(reader) == b""


async def test_abort_resets_the_connection(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+abort")
    assert (seen.ended, seen.raw) == ("reset", b"")
    assert provider.journal[-1].outcome == "complete"


async def test_close_ends_the_connection_without_an_answer(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+close")
    assert (seen.ended, seen.raw) == ("eof", b"")


async def test_early_hints_come_before_the_answer(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+early-hints")
    assert seen.statuses == [103, 200]
    assert seen.json["choices"][0]["message"]["content"] == HELLO


@pytest.mark.parametrize("streams", [False, True])
async def test_stall_waits_after_the_headers(provider: FakeProvider, streams: bool) -> None:
    await ask(provider, "fake+stall=0.1", stream=streams)
    row = provider.journal[-1]
    assert row.first_byte_s - row.head_s >= 0.1


async def test_client_that_leaves_a_stalled_answer_left_before_the_first_byte(
    provider: FakeProvider,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+stall=600", fields={"stream": True}))
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    row = await provider.journal.wait_for(lambda row: row.outcome != "running", PATIENCE_S)
    assert (row.outcome, row.phase) == ("client_left", "before_first_byte")
    assert row.ended_s - row.arrived_s < 60


@SURFACES
@pytest.mark.parametrize(("fault", "sent"), [("cut=0", 0), ("cut", 1), ("cut=2", 2), ("cut=99", 3)])
async def test_cut_closes_after_so_many_content_events(
    provider: FakeProvider, path: str, fault: str, sent: int
) -> None:
    seen = await stream(provider, f"fake+{fault}", path)
    assert content_events(seen) == sent
    assert (seen.complete, seen.ended) == (False, "eof")


async def test_cut_ends_a_complete_answer_half_way(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+cut")
    assert 0 < len(seen.body) < int(seen.headers["content-length"])
    assert (seen.complete, seen.ended) == (False, "eof")


@pytest.mark.parametrize(("fault", "sent"), [("error-event=0", 0), ("error-event=2", 2)])
async def test_error_event_ends_a_chat_stream(
    provider: FakeProvider, fault: str, sent: int
) -> None:
    seen = await stream(provider, f"fake+{fault}")
    assert content_events(seen) == sent
    assert seen.data[-1]["error"]["code"] == "server_error"
    assert b"[DONE]" not in seen.body
    assert seen.complete


async def test_error_event_ends_a_messages_stream(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+error-event=1", MESSAGES)
    assert content_events(seen) == 1
    assert seen.names[-1] == "error"
    assert seen.data[-1]["error"]["type"] == "overloaded_error"
    assert "message_stop" not in seen.names


async def test_error_event_ends_a_responses_stream_without_a_gap(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+error-event", RESPONSES)
    assert seen.names[-2:] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in seen.data] == list(range(len(seen.data)))
    assert seen.data[-1]["response"]["status"] == "failed"


async def test_slow_pauses_between_content_events(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+slow=0.05")
    row = provider.journal[-1]
    assert seen.text == HELLO
    assert row.ended_s - row.first_byte_s >= 0.1


async def test_slow_sends_a_complete_answer_in_four_pieces(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+slow=0.02")
    row = provider.journal[-1]
    assert seen.json["choices"][0]["message"]["content"] == HELLO
    assert row.ended_s - row.first_byte_s >= 0.06


@pytest.mark.parametrize(
    ("path", "mark"),
    [(CHAT, b"[DONE]"), (MESSAGES, b"message_stop"), (RESPONSES, b"response.completed")],
)
async def test_no_done_leaves_out_the_last_event(
    provider: FakeProvider, path: str, mark: bytes
) -> None:
    whole = await stream(provider, "fake", path)
    seen = await stream(provider, "fake+no-done", path)
    assert mark in whole.body
    assert mark not in seen.body
    assert seen.complete
    assert content_events(seen) == 3


async def test_crlf_ends_every_line(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+crlf", MESSAGES)
    assert seen.body.count(b"\n") == seen.body.count(b"\r\n") > 0
    assert content_events(seen) == 3


async def test_comments_come_before_every_event(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+comments")
    assert seen.body.count(b": fake-provider is still here\n\n") == len(seen.events)
    assert provider.journal[-1].events_sent == len(seen.events)


@pytest.mark.parametrize("streams", [False, True])
async def test_split_utf8_cuts_inside_characters(provider: FakeProvider, streams: bool) -> None:
    seen = await ask(provider, "fake+split-utf8", stream=streams)
    inside = [chunk for chunk in seen.chunks if chunk[:1] and chunk[0] & 0xC0 == 0x80]
    assert len(inside) > 20
    text = seen.text if streams else seen.json["choices"][0]["message"]["content"]
    assert text == "Grüße 👋🏽 你好,世界 👩‍👩‍👧 café."


def test_pieces_cut_inside_characters_join_to_the_whole() -> None:
    data = "aß你👋z".encode()
    pieces = inside_characters(data)
    assert b"".join(pieces) == data
    assert len(pieces) == 7


async def test_bytewise_sends_one_byte_at_a_time(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_turn = written(monkeypatch)
    seen = await stream(provider, "fake+bytewise")
    assert seen.text == HELLO
    assert sum(in_a_turn) == len(seen.raw)
    assert max(in_a_turn) < 64
    assert provider.journal[-1].events_sent == len(seen.events)


async def test_bytewise_stream_can_be_cut(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+bytewise+cut=1")
    assert (seen.text, seen.ended) == ("Hello", "eof")


async def test_chunked_sends_four_chunks(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+chunked")
    assert seen.headers["transfer-encoding"] == "chunked"
    assert len(seen.chunks) == 4
    assert seen.json["choices"][0]["message"]["content"] == HELLO


@pytest.mark.parametrize("streams", [False, True])
async def test_bad_chunk_is_not_http(provider: FakeProvider, streams: bool) -> None:
    seen = await ask(provider, "fake+bad-chunk", stream=streams)
    assert seen.body
    assert seen.broken


@pytest.mark.parametrize("streams", [False, True])
async def test_no_length_ends_by_closing(provider: FakeProvider, streams: bool) -> None:
    sent = request("fake+no-length", fields={"stream": streams}, closes=False)
    seen = await exchange(provider, sent)
    assert not {"content-length", "transfer-encoding"} & seen.headers.keys()
    assert seen.ended == "eof"
    assert (seen.text if streams else seen.json["choices"][0]["message"]["content"]) == HELLO


async def test_gzip_compresses_a_complete_answer(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+gzip")
    assert seen.headers["content-encoding"] == "gzip"
    answer = msgspec.json.decode(zlib.decompress(seen.body, wbits=31))
    assert answer["choices"][0]["message"]["content"] == HELLO


async def test_gzip_flushes_every_event_of_a_stream(provider: FakeProvider) -> None:
    whole = await stream(provider, "fake")
    seen = await stream(provider, "fake+gzip")
    assert len(seen.chunks) >= len(whole.events)
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(seen.body).count(b"data: ") == len(whole.events)
    assert unpacker.eof


@pytest.mark.parametrize("streams", [False, True])
async def test_gzip_bomb_is_a_thousand_times_larger_inside(
    provider: FakeProvider, streams: bool
) -> None:
    seen = await ask(provider, "fake+gzip-bomb=8", stream=streams)
    inside = zlib.decompress(seen.body, wbits=31)
    assert inside.count(b"x") >= 8 << 20
    assert len(seen.body) < len(inside) / 300


@pytest.mark.parametrize("streams", [False, True])
async def test_huge_sends_the_megabytes_it_announces(provider: FakeProvider, streams: bool) -> None:
    seen = await ask(provider, "fake+huge=2", stream=streams)
    text = seen.text if streams else seen.json["choices"][0]["message"]["content"]
    assert text == "x" * (2 << 20)


async def test_bad_json_breaks_a_complete_answer(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+bad-json")
    assert (seen.status, seen.complete) == (200, True)
    with pytest.raises(msgspec.DecodeError):
        _ = seen.json


async def test_bad_json_breaks_the_first_content_event(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake+bad-json")
    assert seen.complete
    assert msgspec.json.decode(seen.events[0][1])
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(seen.events[1][1])


async def test_keepalive_lie_closes_without_a_word(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+keepalive-lie", closes=False))
    seen = await read(reader)
    assert seen.complete
    assert "connection" not in seen.headers
    assert await rest(reader) == b""
    writer.close()


async def test_stale_closes_when_the_next_request_arrives(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+stale", closes=False))
    assert (await read(reader)).complete
    assert not reader.at_eof()
    writer.write(request("fake", closes=False))
    assert await rest(reader) == b""
    assert len(provider.journal) == 1
    writer.close()


async def test_stale_closes_at_once_on_a_request_sent_ahead(provider: FakeProvider) -> None:
    sent = request("fake+stale", closes=False) + request("fake", closes=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(sent)
    assert (await rest(reader)).count(b"HTTP/1.1 200") == 1
    writer.close()


@pytest.mark.parametrize("streams", [False, True])
async def test_http_1_0_gets_no_chunks(provider: FakeProvider, streams: bool) -> None:
    sent = request("fake", fields={"stream": streams}).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    seen = await exchange(provider, sent)
    assert "transfer-encoding" not in seen.headers
    assert seen.status == 200


async def test_http_1_0_is_kept_alive_when_it_asks(provider: FakeProvider) -> None:
    sent = request("fake", headers={"connection": "keep-alive"})
    seen = await exchange(provider, sent.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert seen.headers["connection"] == "keep-alive"


async def test_faults_can_be_joined(provider: FakeProvider) -> None:
    began_s = time.monotonic()
    seen = await stream(provider, "fake+words=40+crlf+comments+slow=0.001+gzip+no-length")
    text = zlib.decompress(seen.body, wbits=31)
    assert [text.count(b'word%d"' % i) for i in (0, 39, 40)] == [1, 1, 0]
    assert text.count(b"\n") == text.count(b"\r\n")
    assert time.monotonic() - began_s >= 0.039
