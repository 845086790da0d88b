"""A chat request to a gateway, with the standard library alone. Rule: knows HTTP and SSE, prints nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gatemill.cli.failure import Failure

CONNECT_TIMEOUT_S = 5.0
SILENCE_TIMEOUT_S = 600.0  # between two pieces; the gateway itself gives up before
ANSWER_BYTES_MAX = 1 << 20  # of an answer that is no stream
LINE_BYTES_MAX = 8 << 20
_SUMMARY = b": gatemill "


class Summary(msgspec.Struct):
    """What is known of an answer once it has ended."""

    model: str = ""
    request_id: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_microusd: int | None = None
    attempts: int | None = None
    first_token_ms: float | None = None
    total_ms: float = 0.0
    cache: str = ""  # hit, stale, coalesced, miss; "" where nothing is kept


class _Told(msgspec.Struct):
    """The comment that the gateway ends a stream with."""

    cost_microusd: int | None = None
    request_id: str = ""
    model: str = ""
    attempts: int | None = None


class Gateway:
    """A gateway at a URL, with a key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failure(f"{url} is not a URL", fix="--url http://127.0.0.1:8700", code=2)
        self._url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._root = parts.path.rstrip("/").removesuffix("/v1")
        # One answer a connection: it is closed with the answer.
        self._headers = {
            "content-type": "application/json",
            "accept": "*/*",
            "connection": "close",
        }
        if key:
            self._headers["authorization"] = f"Bearer {key}"

    def models(self) -> list[str]:
        """The names of GET /v1/models. Raises Failure."""
        with self._answer("GET", "/v1/models", None) as answer:
            data = answer.read(ANSWER_BYTES_MAX)
        try:
            return [one["id"] for one in msgspec.json.decode(data)["data"]]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise Failure(f"{self._url} is no Gatemill", fix="check --url") from error

    def chat(self, model: str, said: str | list[dict[str, str]], summary: Summary) -> Iterator[str]:
        """The pieces of the answer as they come; `summary` is complete at the end. Raises Failure.

        `said` is a question, or the messages of a conversation.
        """
        body = {
            "model": model,
            "messages": [{"role": "user", "content": said}] if isinstance(said, str) else said,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        started_s = time.monotonic()
        answer = self._answer("POST", "/v1/chat/completions", msgspec.json.encode(body))
        summary.request_id = answer.headers.get("x-request-id", "")
        summary.model = answer.headers.get("x-gatemill-model", model)
        summary.cache = answer.headers.get("x-gatemill-cache", "")
        try:
            with answer:
                for line in iter(lambda: answer.readline(LINE_BYTES_MAX), b""):
                    for piece in _read(line.strip(), summary):
                        if summary.first_token_ms is None:
                            summary.first_token_ms = (time.monotonic() - started_s) * 1000
                        yield piece
        except (OSError, HTTPException) as error:
            raise Failure(f"the stream broke off: {error}", fix="try again") from error
        summary.total_ms = (time.monotonic() - started_s) * 1000

    def _answer(self, method: str, path: str, body: bytes | None) -> HTTPResponse:
        """The answer when it is a 200. Raises Failure with the gateway's own words otherwise."""
        kind = HTTPSConnection if self._secure else HTTPConnection
        connection = kind(self._host, self._port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.connect()
            connection.sock.settimeout(SILENCE_TIMEOUT_S)
            connection.request(method, f"{self._root}{path}", body, self._headers)
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            fix = "gatemill serve, or name another gateway with --url"
            raise Failure(f"no gateway answers at {self._url}", fix=fix) from error
        if answer.status != 200:
            with answer:
                raise _refusal(answer)
        return answer


def _refusal(answer: HTTPResponse) -> Failure:
    try:
        error = msgspec.json.decode(answer.read(ANSWER_BYTES_MAX))["error"]
        message = str(error["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = f"the gateway answered {answer.status}"
    fixes = {
        401: "--key, or GATEMILL_API_KEY, or --data-dir of the gateway's dev.key",
        404: "gatemill models lists the names",
    }
    return Failure(message, fix=fixes.get(answer.status, ""))


def _read(line: bytes, summary: Summary) -> Iterator[str]:
    """The text in one line of a stream; other facts go to `summary`."""
    if line.startswith(_SUMMARY):
        told = msgspec.json.decode(line[len(_SUMMARY) :], type=_Told)
        summary.cost_microusd, summary.attempts = told.cost_microusd, told.attempts
        summary.model = told.model or summary.model
    if not line.startswith(b"data:") or line.endswith(b"[DONE]"):
        return
    chunk: dict[str, Any] = msgspec.json.decode(line[5:])
    if error := chunk.get("error"):
        raise Failure(str(error.get("message", error)), fix="try again")
    if usage := chunk.get("usage"):
        summary.input_tokens = usage.get("prompt_tokens")
        summary.output_tokens = usage.get("completion_tokens")
    for choice in chunk.get("choices") or ():
        if piece := choice.get("delta", {}).get("content"):
            yield piece
