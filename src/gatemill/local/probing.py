"""Is the child there? One GET over TCP or a Unix socket. Rule: small answers only, and never patient."""

from __future__ import annotations

import asyncio

from msgspec import Struct

ANSWER_BYTES_MAX = 64 << 10
PATIENCE_S = 5.0


class Address(Struct, frozen=True):
    """Where a child listens, and what it wants to see."""

    port: int = 0  # on 127.0.0.1
    socket_path: str = ""  # a Unix socket instead
    token: str = ""  # sent as a bearer token


async def get(address: Address, path: str) -> bytes | None:
    """The body of a 200; None for any other answer, and for none."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await _get(address, path)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None


async def _get(address: Address, path: str) -> bytes | None:
    if address.socket_path:
        reader, writer = await asyncio.open_unix_connection(address.socket_path)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    try:
        lines = [f"GET {path} HTTP/1.0", "host: 127.0.0.1", "connection: close"]
        if address.token:
            lines.append(f"authorization: Bearer {address.token}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = bytearray()
        while len(answer) < ANSWER_BYTES_MAX and (data := await reader.read(4096)):
            answer += data
    finally:
        writer.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return body if head.split(b"\r\n")[0].split(b" ")[1:2] == [b"200"] else None
