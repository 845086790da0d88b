"""A provider that says aloud what it was told: its errors, its streams and its headers hold the caller's secrets.

What it does stands in the model's name: m200, m401 and so on are statuses; "stream" breaks off with an
error, "redirect" points elsewhere, "zipped" compresses although nobody asked for it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any, NamedTuple

from msgspec import Struct


class Told(NamedTuple):
    """A request, as it came."""

    line: str
    headers: list[tuple[str, str]]  # names in small letters
    body: bytes

    @property
    def model(self) -> str:
        return str(json.loads(self.body or b"{}").get("model", ""))


class Indiscreet(Struct):
    """`async with Indiscreet() as it: it.url, it.told`."""

    told: list[Told] = []
    url: str = ""
    answer: str = "an answer"  # the text of good answers
    elsewhere: str = "http://127.0.0.1:1/"  # where redirects lead
    server: Any = None

    async def __aenter__(self) -> Indiscreet:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            told = await _told(reader)
            self.told.append(told)
            writer.write(self._answer(told))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, told: Told) -> bytes:
        aloud = " ".join(f"{name}: {value}" for name, value in told.headers)
        aloud += " " + told.body.decode(errors="replace")
        model = told.model
        if model == "redirect":
            return _http(302, b"", f"location: {self.elsewhere}")
        good = _good(told, self.answer)
        if model == "zipped":
            return _http(200, gzip.compress(json.dumps(good).encode()), "content-encoding: gzip")
        if model == "stream":
            chunk = json.dumps({**good, "choices": [{"index": 0, "delta": {"content": "hi"}}]})
            error = json.dumps({"error": {"message": aloud, "type": "server_error", "code": aloud}})
            events = f"data: {chunk}\n\ndata: {error}\n\n".encode()
            return _http(200, events, kind="text/event-stream")
        status = int(model[1:]) if model[1:].isdigit() else 200
        if status == 200:
            return _http(200, json.dumps(good).encode(), "set-cookie: a=b", "x-internal: secret")
        error = {"message": aloud, "type": aloud, "code": aloud, "param": aloud}
        return _http(status, json.dumps({"error": error}).encode(), f"x-aloud: {aloud[:2000]}")


async def _told(reader: asyncio.StreamReader) -> Told:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    pairs = [(name.lower(), value) for name, _, value in (one.partition(": ") for one in rest)]
    length = int(dict(pairs).get("content-length", "0"))
    return Told(line, pairs, await reader.readexactly(length))


def _good(told: Told, text: str) -> dict[str, Any]:
    if "embeddings" in told.line:
        data = [{"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}]
        return {"object": "list", "model": "m", "data": data, "usage": _USAGE}
    if "messages" in told.line:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 2},
        }
    if "responses" in told.line:
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "m1", "role": "assistant", "content": [part]}
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "m",
            "output": [{**message, "status": "completed"}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        }
    message = {"role": "assistant", "content": text}
    if told.line.split(" ")[1].endswith("/v1/completions"):
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        return {
            "id": "c1",
            "object": "text_completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": _USAGE,
        }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _USAGE,
    }


_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _http(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status} Words", f"content-type: {kind}", f"content-length: {len(body)}"]
    lines += [header.replace("\n", " ").replace("\r", " ") for header in headers]
    return (
        "\r\n".join([*lines, "connection: close"]).encode("latin-1", "replace") + b"\r\n\r\n" + body
    )
