"""A WebSocket peer that breaks the rules: one close with its code, and nobody else notices."""

from __future__ import annotations

import struct

import pytest
from websockets.exceptions import InvalidStatus

from line import line
from peer import peer, plain

MASK = b"\1\2\3\4"
UPGRADE = (
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)
TEXT, BINARY, CLOSE, PING, FIN = 1, 2, 8, 9, 0x80
LIMIT = 10_000
FLOODS_MAX = 4000  # 260 MB: more than the buffers of any kernel


def frame(opcode: int, data: bytes = b"", *, size: int | None = None, masked: bool = True) -> bytes:
    """One frame; `size` says another length than its data has."""
    length = len(data) if size is None else size
    head = bytes((opcode,))
    if length < 126:
        head += bytes((length | 0x80 * masked,))
    elif length < 1 << 16:
        head += struct.pack("!BH", 126 | 0x80 * masked, length)
    else:
        head += struct.pack("!BQ", 127 | 0x80 * masked, length)
    if not masked:
        return head + data
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data))


BROKEN = {
    "without a mask": (frame(FIN | TEXT, b"{}", masked=False), 1002),
    "first reserved bit, as if compressed": (frame(FIN | 0x40 | TEXT, b"{}"), 1002),
    "second reserved bit": (frame(FIN | 0x20 | TEXT, b"{}"), 1002),
    "third reserved bit": (frame(FIN | 0x10 | TEXT, b"{}"), 1002),
    "reserved opcode": (frame(FIN | 3, b"{}"), 1002),
    "reserved control opcode": (frame(FIN | 11), 1002),
    "ping in pieces": (frame(PING, b"a"), 1002),
    "ping of 126 bytes": (frame(FIN | PING, b"a" * 126), 1002),
    "close of one byte": (frame(FIN | CLOSE, b"a"), 1002),
    "close with a code that must not be sent": (frame(FIN | CLOSE, b"\x03\xed"), 1002),
    "close with a code that is none": (frame(FIN | CLOSE, b"\x00\x01"), 1002),
    "close of 126 bytes": (frame(FIN | CLOSE, b"\x03\xe8" + b"a" * 124), 1002),
    "end of nothing": (frame(FIN | 0, b"{}"), 1002),
    "a text within a text": (frame(TEXT, b"{") + frame(FIN | TEXT, b"}"), 1002),
    "not UTF-8": (frame(FIN | TEXT, b"\xff"), 1007),
    "half a surrogate pair": (frame(FIN | TEXT, b'"\xed\xa0\x80"'), 1007),
    "overlong NUL": (frame(FIN | TEXT, b'"\xc0\x80"'), 1007),
    "longer than allowed": (frame(FIN | TEXT, b"a" * (LIMIT + 1)), 1009),
    "says it is a gigabyte": (frame(FIN | TEXT, size=1 << 30), 1009),
    "says it is 2 to the 63rd": (frame(FIN | TEXT, size=1 << 63), 1009),
    "pieces that add up": (frame(TEXT, b"a") + frame(0, b"a" * 3000) * 4, 1009),
    "a million empty pieces, and one too long": (
        frame(TEXT) + frame(0) * 10_000 + frame(0, b"a" * (LIMIT + 1)),
        1009,
    ),
}


async def test_each_broken_frame_closes_its_connection_with_the_code_that_says_why(house):
    gate = await house(f"[limits]\nwebsocket_message_bytes = {LIMIT}\n")
    heard = {name: await closed_with(gate, data) for name, (data, _) in BROKEN.items()}
    assert heard == {name: code for name, (_, code) in BROKEN.items()}
    async with line(gate) as good:
        await good.ask()
        assert (await good.answer())[-1]["type"] == "done"


async def closed_with(gate, data: bytes) -> int:
    """The code of the only frame that comes back."""
    async with peer(gate) as client:
        await client.send(plain(gate, "/v1/chat/stream", "GET", *UPGRADE))
        assert (await client.head()).status == 101
        client.writer.write(data)
        said = await client.rest()
        assert said[0] == FIN | CLOSE, said
        return int(struct.unpack("!H", said[2:4])[0])


async def test_nothing_is_compressed_on_a_websocket(gate):
    async with line(gate) as ours:
        assert ours.socket.protocol.extensions == []


async def test_a_flood_of_pings_that_nobody_reads_the_answers_to_is_not_gathered(gate):
    flood = frame(FIN | PING, b"a" * 125) * 500
    async with peer(gate, receive_bytes=4096) as client:
        await client.send(plain(gate, "/v1/chat/stream", "GET", *UPGRADE))
        assert (await client.head()).status == 101
        (connection,) = gate.door.connections
        for _ in range(FLOODS_MAX):
            client.writer.write(flood)
            await client.turn()
            assert connection._transport.get_write_buffer_size() < 2_000_000
            if await stays(client):
                break
        assert client.writer.transport.get_write_buffer_size() > 1_000_000
        assert connection._transport.get_write_buffer_size() < 2_000_000


async def stays(client) -> bool:
    """Much is still where it was written, though there was time to read it."""
    for _ in range(200):
        if client.writer.transport.get_write_buffer_size() <= 1_000_000:
            return False
        await client.turn()
    return True


async def test_a_burst_of_requests_gets_an_answer_each_and_one_at_a_time(gate, fake):
    async with line(gate) as ours:
        for _ in range(30):
            await ours.ask("up/fake")
        ends = [(await ours.answer())[-1]["type"] for _ in range(30)]
    assert ends.count("done") == len(fake.journal)
    assert ends.count("error") == 30 - len(fake.journal)


# --- Pages of other sites ------------------------------------------------------------------------

OWN = "http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),  # no browser
        (OWN, 101),
        (OWN.upper(), 101),
        ("https://app.example.com", 101),  # configured
        ("http://app.example.com", 403),
        ("https://app.example.com:444", 403),
        ("https://app.example.com.evil.example", 403),
        ("http://127.0.0.1", 403),  # another port
        ("http://localhost:{port}", 403),  # another name
        ("https://evil.example", 403),
        ("null", 403),  # a sandboxed frame, a local file
        ("", 403),
        ("file://", 403),
        (OWN + ", https://evil.example", 403),
        ("https://evil.example/" + OWN, 403),
        (OWN + "@evil.example", 403),
    ],
)
async def test_only_our_own_pages_and_configured_ones_may_open_a_websocket(house, origin, status):
    gate = await house('[server]\nallowed_origins = ["https://App.example.com"]\n')
    said = (origin or "").replace("{PORT}", "{port}").format(port=gate.port)
    lines = [] if origin is None else [f"origin: {said}"]
    async with peer(gate) as client:
        await client.send(plain(gate, "/v1/chat/stream", "GET", *UPGRADE, *lines))
        answer = await client.answer(bodiless=status == 101)
        assert answer.status == status
        if status == 403:
            assert answer.code == "permission_denied"


async def test_two_origins_are_none(gate):
    with pytest.raises(InvalidStatus) as refused:
        headers = [("origin", f"http://127.0.0.1:{gate.port}")] * 2
        headers.append(("authorization", f"Bearer {gate.key}"))
        async with line(gate, None, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 400
