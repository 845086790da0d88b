"""What was asked and how it ended, one row per request. Rule: bounded; secrets keep four characters."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatemill.fake_provider.steps import Request

ROWS_MAX = 10_000
BODY_BYTES_MAX = 64 << 10  # larger bodies are kept as text, cut here
BODIES_BYTES_MAX = 64 << 20  # all rows together
SECRETS = frozenset({"authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"})


class Row(Struct):
    """One request. Written by the connection that answers it; times are monotonic seconds."""

    sequence: int  # 1-based, over the provider's life
    connection: int  # 1-based; equal numbers are one kept-alive connection
    method: str
    path: str  # with its query
    headers: list[tuple[str, str]]
    body: Any  # decoded JSON, or text cut at BODY_BYTES_MAX
    body_bytes: int
    arrived_s: float
    model: str = ""  # as the request said, faults included
    status: int = 0  # of the answer; 0 when none was prepared
    prompt_tokens: int = 0  # of the whole answer, also when it was cut or the client left
    completion_tokens: int = 0
    head_s: float | None = None  # the status line was sent
    first_byte_s: float | None = None  # the body began
    ended_s: float | None = None
    events_sent: int = 0  # server-sent events, comments not counted
    outcome: str = "running"  # then "complete", "client_left" or "stopped"
    phase: str = ""  # of "client_left": before_headers, before_first_byte, mid_stream, after

    def header(self, name: str) -> str:
        """The first value of a header (lower-case name), "" when it is absent."""
        return next((value for known, value in self.headers if known == name), "")


class _Waiter(NamedTuple):
    predicate: Callable[[Row], bool]
    found: asyncio.Future[Row]


class Journal:
    """The last ROWS_MAX rows, oldest first."""

    def __init__(self) -> None:
        self.dropped = 0  # rows that made room for newer ones, since the last clear
        self._rows: deque[Row] = deque()
        self._sequence = 0
        self._held_bytes = 0  # sum of body_bytes kept, each at most BODY_BYTES_MAX
        self._waiters: list[_Waiter] = []  # added and removed by wait_for, resolved by changed

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]

    def open(self, request: Request, connection: int, body: Any) -> Row:
        """A new row; `body` is the decoded JSON, None when the body is not JSON.

        Whoever waits hears of it with the first `changed`, once the model is known.
        """
        self._sequence += 1
        if body is None or len(request.body) > BODY_BYTES_MAX:
            body = request.body[:BODY_BYTES_MAX].decode("utf-8", "replace")
        row = Row(
            sequence=self._sequence,
            connection=connection,
            method=request.method,
            path=request.target,
            headers=[(name, _shown(name, value)) for name, value in request.headers],
            body=body,
            body_bytes=len(request.body),
            arrived_s=request.arrived_s,
        )
        self._rows.append(row)
        self._held_bytes += _held(row)
        while len(self._rows) > ROWS_MAX or self._held_bytes > BODIES_BYTES_MAX:
            self._held_bytes -= _held(self._rows.popleft())
            self.dropped += 1
        return row

    def changed(self, row: Row) -> None:
        """Whoever waits for this state of the row is woken."""
        for waiter in self._waiters:
            if not waiter.found.done() and waiter.predicate(row):
                waiter.found.set_result(row)

    def clear(self) -> None:
        """Empty; rows still running end unseen."""
        self._rows.clear()
        self._held_bytes = 0
        self.dropped = 0

    async def wait_for(self, predicate: Callable[[Row], bool], timeout_s: float) -> Row:
        """The first row, past or coming, for which `predicate` is true.

        Raises TimeoutError, which says how each row stood.
        """
        for row in self._rows:
            if predicate(row):
                return row
        waiter = _Waiter(predicate, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.found
        except TimeoutError as error:
            seen = [f"{row.sequence} {row.path} {row.outcome} {row.phase}" for row in self._rows]
            message = f"No such row within {timeout_s} s. Rows: {seen[-20:]}"
            raise TimeoutError(message) from error
        finally:
            self._waiters.remove(waiter)


def _held(row: Row) -> int:
    return min(row.body_bytes, BODY_BYTES_MAX)


def _shown(name: str, value: str) -> str:
    """A header value for the journal; secrets below eight characters vanish altogether."""
    if name not in SECRETS:
        return value
    scheme, space, secret = value.partition(" ") if "authorization" in name else ("", "", value)
    if not space:
        scheme, secret = "", value
    return f"{scheme}{space}...{secret[-4:] if len(secret) >= 8 else ''}"
