import asyncio
from contextlib import asynccontextmanager

import pytest

from bench import payloads, upstream


@asynccontextmanager
async def connected():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(upstream.Answering, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()


def posted(body: bytes) -> bytes:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


CHAT = payloads.http_answer(payloads.chat_answer())
STREAM = payloads.http_stream()[0] + b"".join(payloads.http_stream()[1])


async def test_equal_and_different_requests_on_one_connection_get_their_own_answer():
    chat = posted(payloads.chat_request())
    stream = posted(payloads.stream_request(paced=False))
    async with connected() as (reader, writer):
        for request, answer in ((chat, CHAT), (chat, CHAT), (stream, STREAM), (chat, CHAT)):
            writer.write(request)
            assert await reader.readexactly(len(answer)) == answer


async def test_a_request_in_pieces_is_answered_once_it_is_complete():
    request = posted(payloads.chat_request())
    async with connected() as (reader, writer):
        for start in range(0, len(request), 300):
            writer.write(request[start : start + 300])
            await writer.drain()
        assert await reader.readexactly(len(CHAT)) == CHAT


async def test_two_requests_in_one_piece_get_two_answers():
    request = posted(payloads.chat_request())
    async with connected() as (reader, writer):
        writer.write(request + request)
        assert await reader.readexactly(2 * len(CHAT)) == CHAT + CHAT


async def test_a_paced_stream_carries_the_same_bytes():
    async with connected() as (reader, writer):
        writer.write(posted(payloads.stream_request(paced=True)))
        assert await reader.readexactly(len(STREAM)) == STREAM


@pytest.mark.parametrize(
    ("buffer", "end"),
    [
        (b"GET / HTTP/1.1\r\n", 0),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 27),
        (b"POST / HTTP/1.1\r\nCONTENT-LENGTH: 3\r\nhost: a\r\n\r\nab", 0),
        (b"POST / HTTP/1.1\r\nhost: a\r\nContent-Length:3\r\n\r\nabcd", 49),
    ],
)
def test_a_request_ends_where_its_length_says(buffer, end):
    assert upstream.request_end(buffer) == end
