"""OpenAI's dialect, spoken by OpenAI and by every compatible vendor (data/compatible.toml).

Rule: what is written in the caller's own format goes out as it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gatemill.core.errors import (
    ContentRefused,
    ContextLengthExceeded,
    GatemillError,
    RequestTooLarge,
    UpstreamAuthFailed,
    UpstreamBadReply,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from gatemill.wire import chat, fields
from gatemill.wire.failure import clean, retry_after_s
from gatemill.wire.messages.plain import plain
from gatemill.wire.passage import in_band_failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.call import Call, Target, Usage
    from gatemill.core.ports import Json

NATIVE = frozenset(("chat", "completions", "embeddings", "responses", "moderations"))
HUB = "chat"

_PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "moderations": "/moderations",
    "responses": "/responses",
    "rerank": "/rerank",  # Cohere's and Jina's, which vLLM and others serve too
    "predict": "/predict",  # ours
    "predict_text": "/predict",  # the same, told in fewer words
    # Not OpenAI's: vendors whose `native` names them serve Anthropic's format below the same URL.
    "messages": "/messages",
    "count_tokens": "/messages/count_tokens",
}


def route(operation: str, target: Target) -> str:
    """Path and query below base_url."""
    settings = target.settings
    query = f"?{settings.query}" if settings.query else ""
    prefix = settings.path_prefix
    if prefix:  # such as Azure's, which holds the deployment: the model's name there
        prefix = prefix.replace("{model}", quote(target.model, safe=""))
    return f"{prefix}{_PATHS[operation]}{query}"


def secret_headers(secret: str) -> tuple[tuple[str, str], ...]:
    """Bearer authentication."""
    return (("authorization", f"Bearer {secret}"),)


def encode(chat_request: Json, call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The hub's request is this dialect's own, without the hub's extensions."""
    chat_request, dropped = plain(chat_request)
    body = {**chat_request, "model": target.model}
    limit = body.pop("max_completion_tokens", None)
    if limit is not None:
        body[target.settings.output_field] = limit
    if call.head.stream and target.settings.stream_usage:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return fields.encode(body), dropped


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    id: str | None = None
    index: fields.Count | None = None  # in a stream
    function: _Function | None = None


class _Part(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | list[_Part] | None = None


class _Said(Struct):
    content: str | list[_Part] | None = None  # parts are Mistral's, where its models think
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    thinking_blocks: list[dict[str, Any]] | None = None


class _Token(Struct):
    top_logprobs: list[dict[str, Any]] | None = None


class _Logprobs(Struct):
    content: list[_Token] | None = None


class _Choice(Struct):
    index: fields.Count | None = None
    message: _Said | None = None
    delta: _Said | None = None  # some vendors leave it out, or send null, at the end
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Answer(Struct):
    """What translations rely on."""

    choices: list[_Choice]


_check = msgspec.json.Decoder(_Answer).decode


def decode(body: bytes, call: Call) -> tuple[Json, Usage | None]:
    """The answer as it came. Raises UpstreamBadReply."""
    usage = chat.usage(body)
    try:
        read, answer = _check(body), fields.decode_object(body)
    except msgspec.ValidationError:
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    for choice, said in zip(read.choices, answer["choices"], strict=True):
        if choice.message is not None:
            _flatten(choice.message, said["message"])
    return answer, usage


def _flatten(read: _Said, said: Json) -> None:
    """Content in parts becomes text and reasoning, which is all that the hub's answers have."""
    if not isinstance(read.content, list):
        return
    said["content"] = _text_of(read.content)
    if thought := "".join(_thought_of(part) for part in read.content):
        said["reasoning_content"] = thought


def _text_of(parts: Sequence[_Part]) -> str:
    return "".join(part.text or "" for part in parts if part.type == "text")


def _thought_of(part: _Part) -> str:
    thinking = part.thinking or ""
    return thinking if isinstance(thinking, str) else _text_of(thinking)


def reader(call: Call) -> OpenAIReader:
    """A reader for one translated stream."""
    return OpenAIReader()


class OpenAIReader:
    """OpenAI's events as hub chunks: they are the same, without the usage chunk."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = self.is_over = False
        self._calls: dict[int, _Calls] = {}  # by choice

    def read(self, event: str, data: bytes) -> Sequence[Json]:
        """One chunk, or none for the end mark and the usage chunk. Raises UpstreamBadReply."""
        if data.strip() == b"[DONE]":
            self.finished = self.is_over = True
            return ()
        try:
            chunk: Any = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            raise UpstreamBadReply("The provider's stream holds an event that is not JSON.")
        if chunk.get("error"):
            raise in_band_failure(fields.encode(chunk["error"]))
        if used := chunk.pop("usage", None):
            self.usage = _usage_of(used) or self.usage
        choices = chunk.get("choices")
        if not choices:
            return ()
        for read, choice in zip(_read(choices), choices, strict=True):
            choice["delta"] = choice.get("delta") or {}
            if read.delta is not None:
                self._settle(read.index or 0, read.delta, choice["delta"])
            if read.finish_reason:
                self.finished = True
        return (chunk,)

    def _settle(self, choice: int, read: _Said, delta: Json) -> None:
        """What vendors write in ways of their own; `read` is the same, checked."""
        _flatten(read, delta)
        if read.tool_calls:
            numbers = self._calls.setdefault(choice, _Calls())
            numbers.give(read.tool_calls, delta["tool_calls"])


class _Calls:
    """The tool calls of one choice, each with an index of its own.

    Gemini gives all calls of a turn the index 0 (seen 2026-11), others give none.
    """

    __slots__ = ("_made", "_open")

    def __init__(self) -> None:
        # By the vendor's index: ours, and the id of the call.
        self._open: dict[int, tuple[int, str]] = {}
        self._made: set[int] = set()  # indices that are taken

    def give(self, read: Sequence[_Call], pieces: Sequence[Json]) -> None:
        """Each piece has its call's index; `read` is the same, checked."""
        for place, (piece, said) in enumerate(zip(read, pieces, strict=True)):
            theirs = place if piece.index is None else piece.index
            ours, known = self._open.get(theirs, (-1, ""))
            id_ = piece.id or ""
            # Some vendors repeat id and name with every piece, or give each piece an id of its own.
            is_named = piece.function is not None and bool(piece.function.name)
            if ours < 0 or (known and id_ and id_ != known and is_named):
                ours = theirs if theirs not in self._made else max(self._made) + 1
                self._made.add(ours)
                self._open[theirs] = ours, id_
            said["index"] = ours


def _read(choices: Any) -> list[_Choice]:
    try:
        return msgspec.convert(choices, list[_Choice])
    except msgspec.ValidationError:
        raise UpstreamBadReply("The provider's stream holds a chunk that is malformed.") from None


def _usage_of(used: Any) -> Usage | None:
    try:
        return fields.from_openai_usage(msgspec.convert(used, fields.OpenAIUsage, strict=False))
    except msgspec.ValidationError:
        raise UpstreamBadReply("The provider's usage object is malformed.") from None


class _Error(Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(Struct):
    error: _Error | str | None = None
    message: Any = None  # Mistral has nothing around it


_error = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody]).decode  # Gemini puts it into an array
_TOO_LONG = re.compile(
    r"context.?length|maximum context|too many tokens|prompt is too long|maximum number of tokens",
    re.IGNORECASE,
)


_BY_STATUS: dict[int, tuple[type[GatemillError], str]] = {
    401: (UpstreamAuthFailed, "The provider refused the key configured for it. Check api_key."),
    402: (UpstreamQuotaSpent, "The provider account has no credit left. Top it up."),
    403: (UpstreamAuthFailed, "The provider refused the key configured for it. Check api_key."),
    404: (UpstreamError, "The provider does not know this model or path. Check the target."),
    408: (UpstreamTimeout, "The provider timed out."),
    413: (RequestTooLarge, "The provider calls the request too large. Send less."),
    429: (UpstreamRateLimited, "The provider limits the rate of requests. Retry later."),
    503: (UpstreamOverloaded, "The provider is overloaded."),
    504: (UpstreamTimeout, "The provider timed out."),
    529: (UpstreamOverloaded, "The provider is overloaded."),
}
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")


def failure(status: int, headers: Mapping[str, str], body: bytes) -> GatemillError:
    """What a non-2xx answer means to our caller."""
    said = _said(body)
    if status == 429 and (said.code in _NO_CREDIT or said.type in _NO_CREDIT):
        status = 402
    wait_s = retry_after_s(headers)
    if status in _BY_STATUS:
        kind, text = _BY_STATUS[status]
        return kind(text, retry_after_s=wait_s)
    if 400 <= status < 500:
        return _refusal(said)
    return UpstreamError(f"The provider answered {status}.", retry_after_s=wait_s)


def _refusal(said: _Error) -> GatemillError:
    text = clean(said.message) or "The provider refused the request."
    if said.code == "context_length_exceeded" or _TOO_LONG.search(text):
        return ContextLengthExceeded(text, param=said.param)
    if said.code in ("content_policy_violation", "content_filter"):
        return ContentRefused(text, param=said.param)
    return UpstreamRefused(text, param=said.param)


def _said(body: bytes) -> _Error:
    try:
        read = _error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Error()
    if isinstance(read, list):
        read = read[0] if read else _ErrorBody()
    said = read.error or read.message
    if isinstance(said, _Error):
        return said
    return _Error(message=said if isinstance(said, str) else None)
