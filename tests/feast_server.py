"""A small server that speaks as `feast serve` does."""

from __future__ import annotations

import asyncio

import msgspec

ZERO = "1970-01-01T00:00:00Z"


def column(values, statuses, at=("2026-11-21T12:00:00Z", ZERO)):
    return {"values": values, "statuses": statuses, "event_timestamps": list(at)}


ANSWER = {
    "metadata": {"feature_names": ["user_id", "stats__age", "stats__tier"]},
    "results": [
        column(["u1", "u2"], ["PRESENT", "PRESENT"]),
        column([41.0, None], ["PRESENT", "NOT_FOUND"]),
        column([None, "old"], ["PRESENT", "OUTSIDE_MAX_AGE"]),
    ],
}


class Server:
    """Answers what a test says, and keeps what it was asked."""

    def __init__(self):
        self.status, self.body, self.asked, self.silent = (
            200,
            msgspec.json.encode(ANSWER),
            [],
            False,
        )

    async def start(self) -> int:
        """Its port."""
        self.listening = await asyncio.start_server(self, "127.0.0.1", 0)
        return self.listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.listening.close()
        await self.listening.wait_closed()

    async def __call__(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().rpartition(b"content-length: ")[2].split(b"\r\n")[0])
                body = msgspec.json.decode(await reader.readexactly(length))
                self.asked.append((head.split(b"\r\n")[0].decode(), body))
                if self.silent:
                    await reader.read()
                    return
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b"
                    % (self.status, len(self.body), self.body)
                )
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
