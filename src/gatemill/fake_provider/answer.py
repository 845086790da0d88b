"""A request becomes an answer: which endpoint, whether it is acceptable, what the model says.

Rule: checks come in a provider's order (key, JSON, fields), and only then the faults in the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from gatemill.core.errors import InvalidRequest
from gatemill.fake_provider import (
    anthropic,
    embeddings,
    failures,
    moderations,
    openai,
    responses,
    turn,
)
from gatemill.fake_provider.delivery import Answer
from gatemill.fake_provider.faults import CATALOGUE
from gatemill.fake_provider.script import parse
from gatemill.fake_provider.steps import Event, Request
from gatemill.fake_provider.turn import Json, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatemill.fake_provider.failures import Failure
    from gatemill.fake_provider.journal import Row

MODELS_COUNTED_MAX = 10_000  # full names in the count of `first`; the oldest is forgotten
MODELS = ("fake", *(fault.example for fault in CATALOGUE.values()))
NO_FAULTS: Mapping[str, float] = {}
_HTML = b"<html><body><h1>Bad Gateway</h1><p>fake-provider was told to say so.</p></body></html>"


class Endpoint(Struct, frozen=True):
    """One path of a vendor, found by how the path ends."""

    suffix: str
    vendor: str  # "openai" or "anthropic": how errors look
    required: tuple[str, ...]
    complete: Callable[[Turn], Json] | None = None
    events: Callable[[Turn], Iterator[Event]] | None = None


ENDPOINTS = (  # the first match counts, so longer endings come first
    Endpoint("/chat/completions", "openai", ("messages",), openai.chat, openai.chat_events),
    Endpoint("/completions", "openai", ("prompt",), openai.completion, openai.completion_events),
    Endpoint("/embeddings", "openai", ("input",)),
    Endpoint("/moderations", "openai", ("input",)),
    Endpoint("/responses", "openai", ("input",), responses.response, responses.response_events),
    Endpoint("/messages/count_tokens", "anthropic", ("messages",)),
    Endpoint(
        "/messages",
        "anthropic",
        ("messages", "max_tokens"),
        anthropic.message,
        anthropic.message_events,
    ),
)


class Counts:
    """How often each full model name was asked for."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def next(self, model: str) -> int:
        """The number of this request for the model, from 1."""
        number = self._seen.pop(model, 0) + 1
        if len(self._seen) >= MODELS_COUNTED_MAX:
            del self._seen[next(iter(self._seen))]
        self._seen[model] = number
        return number

    def clear(self) -> None:
        """All counts start again."""
        self._seen.clear()


class Asked(Struct):
    """A request on its way to an answer."""

    request: Request
    body: Any  # decoded JSON; None when it is not JSON
    row: Row
    now_s: float  # Unix time
    counts: Counts


def answer(asked: Asked) -> tuple[Answer, Mapping[str, float]]:
    """The answer and the faults that its delivery has; the row knows model, status and tokens."""
    path = unquote(asked.request.target.partition("?")[0])
    endpoint = next((e for e in ENDPOINTS if path.endswith(e.suffix)), None)
    vendor = _vendor(asked.request, endpoint)
    faults = NO_FAULTS
    if endpoint is None:
        made = _catalogue(asked.request, path, vendor)
    else:
        failed = _refusal(asked, endpoint)
        if failed is None:
            failed, faults = _script(asked)
        made = failed or _fulfil(asked, endpoint, faults)
    if not isinstance(made, Answer):
        made = _failure(made, vendor, asked.row.sequence, faults)
    asked.row.status = made.status
    name = "request-id" if vendor == "anthropic" else "x-request-id"
    made.headers.append((name, f"req_fake{asked.row.sequence:08d}"))
    return made, faults


def _vendor(request: Request, endpoint: Endpoint | None) -> str:
    if endpoint is not None:
        return endpoint.vendor
    return "anthropic" if request.header("anthropic-version") else "openai"


def _refusal(asked: Asked, endpoint: Endpoint) -> Failure | None:
    """Why a provider would not even look at the model; None when all is well."""
    request = asked.request
    if request.method != "POST":
        return failures.Failure(405, f"Use POST for {endpoint.suffix}.")
    if not _has_key(request):
        return failures.NO_KEY
    if endpoint.vendor == "anthropic" and not request.header("anthropic-version"):
        return failures.invalid("anthropic-version: header is required")
    body = asked.body
    if not isinstance(body, dict):
        return failures.invalid("Send a JSON object; the body could not be read as one.")
    for field in endpoint.required:
        if body.get(field) in (None, [], ""):
            return failures.invalid(f"{field}: field required", field)
    return None


def _script(asked: Asked) -> tuple[Failure | None, Mapping[str, float]]:
    """The faults that this request meets, or why its model name is not understood."""
    model = asked.body.get("model") or _deployment(asked.request.target)
    if not isinstance(model, str) or not model:
        return failures.invalid("model: field required", "model"), NO_FAULTS
    asked.row.model = model
    asked.body = asked.body | {"model": model}  # a copy: the journal keeps what was sent
    try:
        script = parse(model)
    except InvalidRequest as error:
        return failures.invalid(error.message, error.param), NO_FAULTS
    return None, script.faults(asked.counts.next(model)) if script.first else script.always


def _deployment(target: str) -> str:
    """Azure's model: the segment after /deployments/, faults included."""
    return unquote(target.partition("/deployments/")[2].partition("/")[0])


def _fulfil(asked: Asked, endpoint: Endpoint, faults: Mapping[str, float]) -> Answer | Failure:
    if "html-error" in faults:
        return Answer(int(faults["html-error"]), [("content-type", "text/html")], _HTML)
    failed = failures.chosen(faults)
    if failed is not None or "error-200" in faults:
        return failed or failures.IN_BAND
    if endpoint.complete is None:
        return _small(asked, endpoint, faults)
    said = turn.take(asked.body, faults, asked.row.sequence, asked.now_s)
    asked.row.prompt_tokens = said.prompt_total
    asked.row.completion_tokens = said.completion_tokens
    if asked.body.get("stream") is True and endpoint.events is not None:
        return _stream(endpoint, said)
    return _json(200, endpoint.complete(said))


def _small(asked: Asked, endpoint: Endpoint, faults: Mapping[str, float]) -> Answer | Failure:
    """Answers without a turn: embeddings, moderations and token counts."""
    tokens = turn.prompt_tokens(asked.body)
    if endpoint.vendor == "anthropic":
        return _json(200, anthropic.count(tokens))
    asked.row.prompt_tokens = tokens
    try:
        if endpoint.suffix == "/moderations":
            return _json(200, moderations.moderations(asked.body, asked.row.sequence))
        return _json(200, embeddings.embeddings(asked.body, faults))
    except InvalidRequest as error:
        return failures.invalid(error.message, error.param)


def _stream(endpoint: Endpoint, said: Turn) -> Answer:
    def broken(count: int) -> list[Event]:
        if endpoint.events is responses.response_events:
            return responses.failure_events(said, failures.IN_BAND, count)
        if endpoint.vendor == "anthropic":
            return anthropic.failure_events(failures.IN_BAND)
        return openai.failure_events(failures.IN_BAND)

    assert endpoint.events is not None
    kind = ("content-type", "text/event-stream; charset=utf-8")
    headers = [kind, ("cache-control", "no-cache")]
    return Answer(200, headers, events=endpoint.events(said), broken=broken)


def _catalogue(request: Request, path: str, vendor: str) -> Answer | Failure:
    """The list of models, one model, or 404."""
    before, found, name = path.partition("/models")
    if not found or (name and not name.startswith("/")):
        return failures.not_found(f"No endpoint here: {before}.")
    if request.method != "GET":
        return failures.Failure(405, "Use GET for /models.")
    if not _has_key(request):
        return failures.NO_KEY
    shapes = anthropic if vendor == "anthropic" else openai
    if not name:
        return _json(200, shapes.models(MODELS))
    try:
        parse(name[1:])
    except InvalidRequest as error:
        return failures.not_found(error.message)
    return _json(200, shapes.model(name[1:]))


def _has_key(request: Request) -> bool:
    scheme, _, token = request.header("authorization").partition(" ")
    bearer = scheme.lower() == "bearer" and token.strip()
    return bool(bearer or request.header("x-api-key") or request.header("api-key"))


def _failure(failed: Failure, vendor: str, sequence: int, faults: Mapping[str, float]) -> Answer:
    if vendor == "anthropic":
        body = anthropic.failure(failed, f"req_fake{sequence:08d}")
        made = _json(failed.anthropic_status or failed.status, body)
    else:
        made = _json(failed.status, openai.failure(failed))
    if failed is failures.IN_BAND and "error-200" in faults:
        made.status = 200
    return made


def _json(status: int, body: Json) -> Answer:
    # A 304 has no body by definition; clients would take ours for the next answer.
    data = b"" if status == 304 else turn.encode(body)
    return Answer(status, [("content-type", "application/json")], data)


def decoded(body: bytes) -> Any:
    """The JSON value; None when the body is empty or not JSON."""
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
