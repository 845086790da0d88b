"""One request, read to its last byte. Rule: an answer counts only if it is the upstream's, complete."""

from __future__ import annotations

import contextlib
import http.client
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from bench import payloads
from bench.failures import BenchStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

POLL_S = 0.005


class Answer(Struct, frozen=True):
    """A complete HTTP answer, chunks joined."""

    status: int
    body: bytes


def ask(url: str, headers: Mapping[str, str], body: bytes, limit_s: float) -> Answer:
    """The answer of one POST on a connection of its own; OSError or HTTPException without one."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "127.0.0.1", parts.port, timeout=limit_s
    )
    with contextlib.closing(connection):
        connection.request(
            "POST", parts.path, body, {"content-type": "application/json", **headers}
        )
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())


def first_answer_s(attempt: Callable[[], Answer | None], started_s: float, limit_s: float) -> float:
    """Seconds from `started_s` (monotonic) until `attempt` was answered with the upstream's chat.

    Tried every 5 ms; None, no connection, or another status means: not yet.
    """
    last: Answer | None = None
    while (now_s := time.monotonic()) - started_s < limit_s:
        with contextlib.suppress(OSError, http.client.HTTPException):
            last = attempt()
            if last is not None and last.status == 200:
                check_chat(last)
                return time.monotonic() - started_s
        time.sleep(max(0.0, POLL_S - (time.monotonic() - now_s)))
    message = f"no good answer within {limit_s:.0f} s; the last one was {last}"
    raise BenchStopped(message)


def check_chat(answer: Answer) -> None:
    """The answer carries the upstream's text; BenchStopped otherwise."""
    if answer.status != 200 or _text(answer.body) != _text(payloads.chat_answer()):
        message = f"not the upstream's chat: {answer.status} {answer.body[:500]!r}"
        raise BenchStopped(message)


def check_stream(answer: Answer) -> None:
    """The answer carries every word of the stream, its usage and [DONE]; BenchStopped otherwise."""
    events = split_events(answer.body)
    complete = answer.status == 200 and events[-1:] == [b"[DONE]"]
    if complete:
        chunks = [msgspec.json.decode(event) for event in events[:-1]]
        complete = stream_text(chunks) == "".join(payloads.stream_words())
        complete = complete and any(chunk.get("usage") for chunk in chunks)
    if not complete:
        message = f"not the upstream's whole stream: {answer.status} ...{answer.body[-500:]!r}"
        raise BenchStopped(message)


def split_events(body: bytes) -> list[bytes]:
    """The data of each event."""
    return [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]


def stream_text(chunks: list[dict[str, Any]]) -> str:
    """The text of all deltas."""
    deltas = (choice["delta"] for chunk in chunks for choice in chunk["choices"])
    return "".join(delta.get("content") or "" for delta in deltas)


def _text(body: bytes) -> str:
    return str(msgspec.json.decode(body)["choices"][0]["message"]["content"])
