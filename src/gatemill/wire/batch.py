"""OpenAI's batch files: lines of requests in, lines of answers out.

Rule: pure, and bounded by the line: whatever is wrong with one is a Problem of that line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct

from gatemill.core.errors import (
    GatemillError,
    InvalidJson,
    InvalidType,
    InvalidValue,
    MissingParameter,
)
from gatemill.core.job import Problem
from gatemill.wire import fields
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a line may ask, and the surface that answers it.
ENDPOINTS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
    "/api/v1/inference": "inference",
    "/v1/predict": "predict",
    "/v1/rerank": "rerank",
    "/v1/moderations": "moderations",
}
LINE_BYTES_MAX = 16 << 20
CUSTOM_ID_CHARS_MAX = 512
_BOM = b"\xef\xbb\xbf"
_NOT_HERE = ("stream", "background")  # fields of a body that ask for something else than an answer
_SHOWN_CHARS_MAX = 60  # of a value that is repeated in a message


class Line(Struct, frozen=True):
    """One line of an input file that is not blank."""

    number: int  # from 1, blank ones counted
    start: int  # its first byte in the file
    data: bytes | None  # None: it has more than `LINE_BYTES_MAX` bytes


class Checked(Struct, frozen=True):
    """What a line asks. `body` counts only where there is no problem."""

    custom_id: str | None
    body: bytes
    problem: Problem | None


class Splitter:
    """A file's bytes, cut into lines wherever the pieces end. Holds one line at most."""

    def __init__(self, number: int = 1, start: int = 0) -> None:
        """The next byte is number `start` of the file, and the first of line `number`."""
        self._number = number
        self._start = start
        self._parts: list[bytes] = []
        self._length = 0  # of the line begun, also of what is not kept of it

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in this piece."""
        at = 0
        while (end := data.find(b"\n", at)) >= 0:
            self._add(data[at:end])
            at = end + 1
            yield from self._cut(1)
        self._add(data[at:])

    def close(self) -> Iterator[Line]:
        """The last line, where no line feed ends it."""
        if self._length:
            yield from self._cut(0)

    def _add(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= LINE_BYTES_MAX:
            self._parts.append(data)
        else:
            self._parts.clear()

    def _cut(self, feeds: int) -> Iterator[Line]:
        number, start, length = self._number, self._start, self._length
        data = b"".join(self._parts)
        self._parts.clear()
        self._number, self._start, self._length = number + 1, start + length + feeds, 0
        if length > LINE_BYTES_MAX:
            yield Line(number, start, None)
            return
        if not start:
            data = data.removeprefix(_BOM)
        if not data.isspace() and data:
            yield Line(number, start, data)


class _Request(Struct):
    custom_id: msgspec.Raw = msgspec.Raw(b"")
    method: msgspec.Raw = msgspec.Raw(b"")
    url: msgspec.Raw = msgspec.Raw(b"")
    body: msgspec.Raw = msgspec.Raw(b"")


_request = msgspec.json.Decoder(_Request)
_any = msgspec.json.Decoder()
_outer = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check(line: Line, endpoint: str) -> Checked:
    """What the line asks of this endpoint, or what is wrong with it."""
    custom_id: str | None = None
    try:
        asked = _decoded(line)
        custom_id = _custom_id(asked)
        _check_way(asked, endpoint)
        return Checked(custom_id, _body(asked), None)
    except GatemillError as error:
        return Checked(custom_id, b"", problem(error))


def custom_id(line: Line) -> str | None:
    """The line's custom_id, if it has a sound one."""
    try:
        return _custom_id(_decoded(line))
    except GatemillError:
        return None


def _decoded(line: Line) -> _Request:
    if line.data is None:
        raise InvalidValue(f"The line has more than {LINE_BYTES_MAX} bytes. Send less.")
    try:
        return _request.decode(line.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJson("The line is not one JSON object. Write one request in a line.") from None


def _custom_id(asked: _Request) -> str:
    value = _text(asked.custom_id, "custom_id", "Give each line a custom_id of its own.")
    if not 0 < len(value) <= CUSTOM_ID_CHARS_MAX:
        raise InvalidValue(
            f"`custom_id`: send 1 to {CUSTOM_ID_CHARS_MAX} characters.", param="custom_id"
        )
    return value


def _check_way(asked: _Request, endpoint: str) -> None:
    if _text(asked.method, "method", "Send POST.") != "POST":
        raise InvalidValue("`method`: send POST.", param="method")
    if _text(asked.url, "url", f"Send {endpoint}.") != endpoint:
        raise InvalidValue(
            f"`url`: the batch was created for {endpoint}. Send that in every line.", param="url"
        )


def _body(asked: _Request) -> bytes:
    body = bytes(asked.body)
    if not body:
        raise MissingParameter("`body`: is required. Send the request.", param="body")
    if not body.lstrip().startswith(b"{"):
        raise InvalidType("`body`: must be an object. Send the request.", param="body")
    for name in _NOT_HERE:
        if name.encode() in body or b"\\u00" in body:
            value = bytes(_outer.decode(body).get(name, b"null"))
            if value not in (b"null", b"false"):
                raise InvalidValue(
                    f"`body.{name}`: is not for batches. Leave it out.", param=f"body.{name}"
                )
    return body


def _text(raw: msgspec.Raw, name: str, remedy: str) -> str:
    data = bytes(raw)
    if data in (b"", b"null"):
        raise MissingParameter(f"`{name}`: is required. {remedy}", param=name)
    value = _any.decode(data)
    if not isinstance(value, str):
        raise InvalidType(f"`{name}`: must be a string. {remedy}", param=name)
    return value


def problem(error: GatemillError) -> Problem:
    """A failure as a file says it."""
    return Problem(error.code, error.message, UNSET if error.param is None else error.param)


# --- What comes out ---------------------------------------------------------------------------------


def answered(
    line_id: str, asked: Checked, request_id: str, body: bytes, cost_microusd: int | None
) -> bytes:
    """A line of the output file; `cost_usd` is ours, null where the price is not known."""
    flat = msgspec.Raw(body.translate(None, b"\r\n"))  # between tokens; never inside a string
    response = {"status_code": 200, "request_id": request_id, "body": flat}
    cost = None if cost_microusd is None else usd(cost_microusd)
    return _line(line_id, asked.custom_id, response, None, cost_usd=cost)


def refused(line_id: str, asked: Checked, request_id: str, error: GatemillError) -> bytes:
    """A line of the error file, for a request that was made and failed."""
    said = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    response = {"status_code": error.status, "request_id": request_id, "body": {"error": said}}
    return _line(line_id, asked.custom_id, response, None)


def unanswered(line_id: str, custom_id: str | None, number: int, why: Problem) -> bytes:
    """A line of the error file, for a request that was never made."""
    param = None if why.param is UNSET else why.param
    error = {"code": why.code, "message": why.message, "param": param, "line": number}
    return _line(line_id, custom_id, None, error)


def _line(line_id: str, custom_id: str | None, response: Any, error: Any, **more: Any) -> bytes:
    said = {"id": line_id, "custom_id": custom_id, "response": response, "error": error, **more}
    return fields.encode(said) + b"\n"


class _Details(Struct):
    cached_tokens: fields.Count | None = 0
    reasoning_tokens: fields.Count | None = 0


class _Usage(Struct):
    """OpenAI's usage object under both its names for everything, and Anthropic's."""

    prompt_tokens: fields.Count | None = 0
    completion_tokens: fields.Count | None = 0
    input_tokens: fields.Count | None = 0
    output_tokens: fields.Count | None = 0
    cache_read_input_tokens: fields.Count | None = 0
    cache_creation_input_tokens: fields.Count | None = 0
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answer(Struct):
    usage: _Usage | None = None


_answer = msgspec.json.Decoder(_Answer)


def tokens(body: bytes) -> tuple[int, int, int, int]:
    """What an answer says it used: input, cached of it, output, reasoning of it; zeros if nothing."""
    try:
        usage = _answer.decode(body).usage
    except msgspec.DecodeError:
        usage = None
    if usage is None:
        return 0, 0, 0, 0
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    in_ = usage.prompt_tokens_details or usage.input_tokens_details
    out = usage.completion_tokens_details or usage.output_tokens_details
    return (
        (usage.prompt_tokens or usage.input_tokens or 0) + read + written,
        ((in_.cached_tokens if in_ else 0) or 0) + read,
        usage.completion_tokens or usage.output_tokens or 0,
        (out.reasoning_tokens if out else 0) or 0,
    )
